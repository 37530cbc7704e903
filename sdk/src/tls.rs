//! TLS to a receiver: whom to trust, who we are, and in plain words what stands in the way.
//!
//! rustls with ring, passed explicitly: what another crate makes the process's provider is no concern of
//! ours. Files are read anew for each connection, so that a renewed certificate needs no restart.

pub(crate) mod server;

use std::fmt;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, SignatureScheme};

/// A file, and the setting that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    pub(crate) setting: &'static str,
    pub(crate) path: PathBuf,
}

/// What one side of a connection goes by.
#[derive(Debug, Clone)]
pub(crate) struct ClientSide {
    /// The CAs that may sign the receiver's certificate; those of the system, where none are named.
    pub(crate) ca: Option<NamedFile>,
    /// Our certificate and its key, if the receiver wants to know us.
    pub(crate) own: Option<(NamedFile, NamedFile)>,
    /// What the receiver's certificate must be for.
    pub(crate) server_name: ServerName<'static>,
    /// The variables that a remedy names.
    pub(crate) settings: Settings,
}

/// See [`ClientSide::settings`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) ca: &'static str,
    pub(crate) certificate: &'static str,
    pub(crate) key: &'static str,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadFile {
    pub(crate) file: NamedFile,
    pub(crate) why: String,
}

pub(crate) const SERVER_NAME: &str = "SPANLINE_OTLP_SERVER_NAME";

impl ClientSide {
    /// Reads every file, and says what is wrong with each.
    pub(crate) fn check(&self) -> Vec<BadFile> {
        let mut bad: Vec<_> = self.ca.iter().filter_map(|file| certificates(file).err()).collect();
        if let Some((certificate, key)) = &self.own {
            bad.extend(certificates(certificate).err());
            bad.extend(private_key(key).err());
            if bad.is_empty() {
                bad.extend(self.certified_key().err());
            }
        }
        bad
    }

    /// Reads the files and makes the settings of one connection. `asked` is called when the receiver
    /// wants a certificate that we do not have.
    ///
    /// # Errors
    /// A file that cannot be used, or a system without certificates.
    pub(crate) fn connection(
        &self,
        protocol: &[u8],
        asked: impl Fn() + Send + Sync + 'static,
    ) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?);
        let resolver: Arc<dyn ResolvesClientCert> =
            match self.certified_key().map_err(|bad| bad.to_string())? {
                Some(key) => Arc::new(rustls::sign::SingleCertAndKey::from(key)),
                None => Arc::new(Nobody(asked)),
            };
        let mut config = builder.with_client_cert_resolver(resolver);
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca {
            for certificate in certificates(file).map_err(|bad| bad.to_string())? {
                roots.add(certificate).map_err(|error| file.bad(error).to_string())?;
            }
        } else {
            let found = rustls_native_certs::load_native_certs();
            // A system's store may hold a certificate that no verifier takes; the others count.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let ca = self.settings.ca;
                return Err(format!(
                    "this system has no store of trusted certificates; name the CA's file by {ca}"
                ));
            }
        }
        Ok(roots)
    }

    fn certified_key(&self) -> Result<Option<CertifiedKey>, BadFile> {
        let Some((certificate_file, key_file)) = &self.own else { return Ok(None) };
        let certificates = certificates(certificate_file)?;
        let key = private_key(key_file)?;
        CertifiedKey::from_der(certificates, key, &ring::default_provider()).map(Some).map_err(
            |error| {
                let certificate = certificate_file.path.display();
                key_file.bad(format_args!(
                    "it does not belong to the certificate {certificate}: {error}"
                ))
            },
        )
    }

    /// What a failure of TLS means, and what helps.
    pub(crate) fn explain(&self, error: &rustls::Error) -> String {
        use rustls::Error;
        match error {
            Error::InvalidCertificate(error) => self.explain_certificate(error),
            Error::AlertReceived(alert) => self.explain_alert(*alert),
            Error::InvalidMessage(_) => self.no_tls(),
            other => format!("TLS failed: {other}"),
        }
    }

    fn explain_certificate(&self, error: &CertificateError) -> String {
        match error {
            // A bad signature is what a CA has that was made anew under its old name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                let known = match &self.ca {
                    Some(NamedFile { setting, path }) => format!("{} ({setting})", path.display()),
                    None => "this system's store".to_owned(),
                };
                let ca = self.settings.ca;
                format!(
                    "the receiver's certificate is signed by no CA of {known}; name the file of its CA by {ca}"
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!(
                    "the receiver's certificate has expired ({error}); renew it, or set this clock"
                )
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the receiver's certificate is not valid yet ({error}); set the clocks")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let name = self.server_name.to_str();
                format!(
                    "the receiver's certificate is not for {name} ({error}); say what it is for by \
                     {SERVER_NAME}"
                )
            }
            other => format!("the receiver's certificate cannot be used: {other}"),
        }
    }

    fn explain_alert(&self, alert: AlertDescription) -> String {
        match (&self.own, alert) {
            (None, AlertDescription::CertificateRequired) => self.certificate_wanted(),
            (
                Some((NamedFile { setting, path }, _)),
                AlertDescription::UnknownCA
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied,
            ) => format!(
                "the receiver does not accept our certificate {} ({setting}): {alert:?}; its CA must be \
                 one that the receiver trusts, and it must not have expired",
                path.display()
            ),
            _ => format!("the receiver ended the TLS handshake: {alert:?}"),
        }
    }

    /// The receiver asked for a certificate, and left when there was none.
    pub(crate) fn certificate_wanted(&self) -> String {
        let Settings { certificate, key, .. } = self.settings;
        format!(
            "the receiver wants a client certificate; name it by {certificate}, and its key by {key}"
        )
    }

    /// The receiver left without a word before it answered anything.
    pub(crate) fn own_may_be_refused(&self) -> Option<String> {
        let (NamedFile { setting, path }, _) = self.own.as_ref()?;
        Some(format!(
            "the receiver left right after the TLS handshake; perhaps it does not accept our certificate {} \
             ({setting})",
            path.display()
        ))
    }

    /// What answers is no TLS.
    pub(crate) fn no_tls(&self) -> String {
        "what answers there seems to speak no TLS; write http:// in place of https:// (a gRPC endpoint without a scheme \
         means https unless OTEL_EXPORTER_OTLP_INSECURE=true)"
            .to_owned()
    }
}

/// The name that a certificate must be for, if it can be one: a DNS name or an IP address.
pub(crate) fn server_name(text: &str) -> Option<ServerName<'static>> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(bare.to_owned()).ok()
}

fn certificates(file: &NamedFile) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let pem = file.read()?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(file.bad("there is no PEM certificate in it")),
        Err(error) => Err(file.bad(error)),
    }
}

fn private_key(file: &NamedFile) -> Result<PrivateKeyDer<'static>, BadFile> {
    PrivateKeyDer::from_pem_slice(&file.read()?)
        .map_err(|error| file.bad(format_args!("there is no PEM key in it: {error}")))
}

/// Every CA that there is takes a quarter of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

impl NamedFile {
    fn read(&self) -> Result<Vec<u8>, BadFile> {
        // Asked before it is opened: to open a named pipe is to wait for its writer.
        let metadata = fs::metadata(&self.path).map_err(|error| self.bad(error))?;
        if !metadata.is_file() {
            return Err(self.bad("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let file = File::open(&self.path).map_err(|error| self.bad(error))?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| self.bad(error))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(self.bad(format_args!("it has more than {MAX_FILE_BYTES} bytes")));
        }
        Ok(bytes)
    }

    fn bad(&self, why: impl fmt::Display) -> BadFile {
        BadFile { file: self.clone(), why: why.to_string() }
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file: NamedFile { setting, path }, why } = self;
        let path: &Path = path;
        write!(f, "{} ({setting}) cannot be used: {why}", path.display())
    }
}

/// Has no certificate, and notes that one was wanted.
struct Nobody<F>(F);

impl<F: Fn() + Send + Sync> ResolvesClientCert for Nobody<F> {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        (self.0)();
        None
    }

    fn has_certs(&self) -> bool {
        // With `false` the receiver's wish would pass unseen.
        true
    }
}

impl<F> fmt::Debug for Nobody<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nobody")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why_not(path: &Path) -> String {
        let file = NamedFile { setting: "OTEL_EXPORTER_OTLP_CERTIFICATE", path: path.to_owned() };
        certificates(&file).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_never_ends_or_never_begins_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, long) = (folder.path().join("pipe"), folder.path().join("long"));
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        for odd in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(why_not(odd).contains("no regular file"), "{}", why_not(odd));
        }
        // Sparse: it takes no room.
        File::create(&long).unwrap().set_len(1 << 40).unwrap();
        assert!(why_not(&long).contains("more than 1048576 bytes"), "{}", why_not(&long));
        assert!(why_not(&folder.path().join("none")).contains("No such file"));
    }
}

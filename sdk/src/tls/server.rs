//! The scraped side of a connection.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};

use super::{BadFile, NamedFile, certificates, private_key};

/// What whoever connects to us is shown, and must show.
#[derive(Debug, Clone)]
pub(crate) struct ServerSide {
    pub(crate) certificate: NamedFile,
    pub(crate) key: NamedFile,
    /// The CAs one of which must have signed a client's certificate; without them clients need none.
    pub(crate) client_ca: Option<NamedFile>,
    /// What the files said when they could last be used.
    last: Arc<Mutex<Option<Arc<ServerConfig>>>>,
}

impl ServerSide {
    pub(crate) fn new(
        certificate: NamedFile,
        key: NamedFile,
        client_ca: Option<NamedFile>,
    ) -> Self {
        Self { certificate, key, client_ca, last: Arc::default() }
    }

    /// Reads the files and makes the settings of one connection; where they cannot be used now, those of the
    /// connection before it.
    ///
    /// # Errors
    /// A file that cannot be used, when there was no connection before.
    pub(crate) fn connection(&self) -> Result<Arc<ServerConfig>, BadFile> {
        let read = self.read().map(Arc::new);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(config) = &read {
            *last = Some(Arc::clone(config));
        }
        last.clone().map_or(read, Ok)
    }

    fn read(&self) -> Result<ServerConfig, BadFile> {
        let provider = Arc::new(ring::default_provider());
        let clients = match &self.client_ca {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| file.bad(error))?;
                }
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| file.bad(error))?
            }
            None => Arc::new(NoClientAuth),
        };
        let (chain, key) = (certificates(&self.certificate)?, private_key(&self.key)?);
        let own = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let certificate = self.certificate.path.display();
            self.key
                .bad(format_args!("it does not belong to the certificate {certificate}: {error}"))
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.certificate.bad(error))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

//! What a failure of TLS means to a client, and what helps.

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error};

use crate::config::ClientTls;

/// Whoever fails to connect to this name by these settings.
pub(super) struct Client<'a> {
    pub(super) settings: &'a ClientTls,
    pub(super) name: &'a ServerName<'static>,
}

impl Client<'_> {
    pub(super) fn explain(&self, error: &Error) -> String {
        match error {
            Error::InvalidCertificate(error) => self.certificate(error),
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::InvalidMessage(_) => self.no_tls(),
            other => format!("TLS failed: {other}"),
        }
    }

    fn certificate(&self, error: &CertificateError) -> String {
        let path = &self.settings.path;
        match error {
            // A bad signature is what a CA has that was made anew under its old name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                let known = match &self.settings.ca {
                    Some(ca) if self.settings.with_system_ca => {
                        format!("{ca} or of this system's store")
                    }
                    Some(ca) => ca.to_string(),
                    None => "this system's store".to_owned(),
                };
                format!(
                    "the server's certificate is signed by no CA of {known}; name the file of its CA by {path}::ca_file"
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!(
                    "the server's certificate has expired ({error}); renew it, or set this clock"
                )
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("the server's certificate is not valid yet ({error}); set the clocks")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let name = self.name.to_str();
                format!(
                    "the server's certificate is not for {name} ({error}); say what it is for by \
                     {path}::server_name_override"
                )
            }
            other => format!("the server's certificate cannot be used: {other}"),
        }
    }

    fn alert(&self, alert: AlertDescription) -> String {
        match (&self.settings.own, alert) {
            (None, AlertDescription::CertificateRequired) => self.certificate_wanted(),
            (
                Some((certificate, _)),
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
                "the server does not accept our certificate {certificate}: {alert:?}; its CA must be one that the \
                 server trusts, and it must not have expired"
            ),
            _ => format!("the server ended the TLS handshake: {alert:?}"),
        }
    }

    /// The server asked for a certificate, and left when there was none.
    pub(super) fn certificate_wanted(&self) -> String {
        let path = &self.settings.path;
        format!(
            "the server wants a client certificate; name it by {path}::cert_file, and its key by {path}::key_file"
        )
    }

    /// The server left without a word before it answered anything.
    pub(super) fn own_may_be_refused(&self) -> Option<String> {
        let (certificate, _) = self.settings.own.as_ref()?;
        Some(format!(
            "the server left right after the TLS handshake; perhaps it does not accept our certificate {certificate}"
        ))
    }

    /// What answers is no TLS.
    pub(super) fn no_tls(&self) -> String {
        let path = &self.settings.path;
        format!(
            "what answers there seems to speak no TLS; if it should not, say {path}::insecure: true, with http:// where \
             the endpoint has https://"
        )
    }
}

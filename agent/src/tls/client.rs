//! The client's side of a handshake.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};

use super::material::{certified_key, files, trust, versions};
use crate::config::ClientTls;
use crate::reload::{Reloaded, Unusable};

/// What handshakes go by.
#[derive(Debug)]
pub(super) struct ClientSide {
    pub(super) settings: ClientTls,
    config: Reloaded<ClientConfig>,
}

impl ClientSide {
    /// `protocols` is what the server is told that we speak.
    pub(super) fn new(settings: &ClientTls, protocols: &[&[u8]]) -> Result<Self, Unusable> {
        let settings = settings.clone();
        let own = settings.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        let files = files(settings.ca.iter().chain(own));
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let load = {
            let settings = settings.clone();
            move || config(&settings, &protocols)
        };
        let config = Reloaded::new(files, settings.reload_interval, load)?;
        Ok(Self { settings, config })
    }

    /// The settings of one connection; `wanted` turns true when the server wants a certificate that we do not have.
    pub(super) fn connection(&self, wanted: &Arc<AtomicBool>) -> Arc<ClientConfig> {
        let config = self.config.get();
        if self.settings.own.is_some() {
            return config;
        }
        let mut config = ClientConfig::clone(&config);
        config.client_auth_cert_resolver = Arc::new(Nobody(Arc::clone(wanted)));
        Arc::new(config)
    }

    /// What the server's certificate must be for.
    pub(super) fn server_name(&self, host: &str) -> Option<ServerName<'static>> {
        let name = self.settings.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.trim_matches(['[', ']']).to_owned()).ok()
    }
}

fn config(settings: &ClientTls, protocols: &[Vec<u8>]) -> Result<ClientConfig, Unusable> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&versions(settings.versions))
        .map_err(|error| Unusable::new(&settings.path, error))?
        .with_root_certificates(roots(settings)?);
    let mut config = match &settings.own {
        Some((certificate, key)) => {
            let own = SingleCertAndKey::from(certified_key(certificate, key)?);
            builder.with_client_cert_resolver(Arc::new(own))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.to_vec();
    Ok(config)
}

fn roots(settings: &ClientTls) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &settings.ca {
        trust(ca, &mut roots)?;
    }
    if settings.ca.is_none() || settings.with_system_ca {
        // A system's store may hold a certificate that no verifier takes; the others count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let why = "this system has no store of trusted certificates; name the file of the server's CA by ca_file there";
        return Err(Unusable::new(&settings.path, why));
    }
    Ok(roots)
}

/// Has no certificate, and notes that one was wanted.
struct Nobody(Arc<AtomicBool>);

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        // With `false` the server's wish would pass unseen.
        true
    }
}

impl fmt::Debug for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nobody")
    }
}

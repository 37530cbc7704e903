//! The server's side of a handshake, and in plain words why a client did not get through it.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, Error, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::material::{certified_key, files, trust, versions};
use crate::config::ServerTls;
use crate::reload::{Reloaded, Unusable};
use crate::self_metrics::{ListenerReason, SelfMetrics};

/// How long a client may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often, at most, the same fault of clients is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What handshakes of a listener go by.
pub struct ServerSide {
    settings: ServerTls,
    config: Reloaded<ServerConfig>,
    /// The keys that lead to the listener.
    listener: String,
    metrics: Arc<SelfMetrics>,
    told: Mutex<HashMap<&'static str, Instant>>,
}

/// Why a client did not get through.
struct Rejected {
    reason: &'static str,
    what: String,
}

impl ServerSide {
    /// `protocols` is what clients are told that we speak.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(
        settings: &ServerTls,
        protocols: &[&[u8]],
        listener: &str,
        metrics: Arc<SelfMetrics>,
    ) -> Result<Self, Unusable> {
        let settings = settings.clone();
        let (certificate, key) = &settings.own;
        let files = files([certificate, key].into_iter().chain(&settings.client_ca));
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let load = {
            let settings = settings.clone();
            move || config(&settings, &protocols)
        };
        let config = Reloaded::new(files, settings.reload_interval, load)?;
        let (listener, told) = (listener.to_owned(), Mutex::default());
        Ok(Self { settings, config, listener, metrics, told })
    }

    /// The handshake with a client. Who does not get through it is counted, and told of now and then.
    pub async fn accept(&self, tcp: TcpStream) -> Option<TlsStream<TcpStream>> {
        let peer = tcp.peer_addr().ok();
        let acceptor = TlsAcceptor::from(self.config.get());
        let rejected = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => self.explain(&error),
            Err(_) => Rejected {
                reason: "timeout",
                what: format!("no TLS handshake within {HANDSHAKE_TIMEOUT:?}"),
            },
        };
        let Rejected { reason, what } = rejected;
        let label = ListenerReason { listener: self.listener.clone(), reason };
        self.metrics.serve.connections_refused.get_or_create(&label).inc();
        if self.is_to_be_told(reason) {
            let peer = peer.map_or_else(|| "a client".to_owned(), |peer| peer.to_string());
            tracing::warn!(listener = %self.listener, "refused the connection of {peer}: {what}");
        }
        None
    }

    fn is_to_be_told(&self, reason: &'static str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_new = told.get(reason).is_none_or(|last| now.duration_since(*last) >= TOLD_EVERY);
        if is_new {
            told.insert(reason, now);
        }
        is_new
    }

    fn explain(&self, error: &io::Error) -> Rejected {
        let rejected = |reason, what: String| Rejected { reason, what };
        let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
            return rejected("gone", "it left during the TLS handshake".to_owned());
        };
        let ca = self.settings.client_ca.as_ref().map(ToString::to_string).unwrap_or_default();
        match error {
            Error::NoCertificatesPresented => rejected(
                "no_client_certificate",
                format!("it shows no certificate; give it one that is signed by a CA of {ca}"),
            ),
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => rejected(
                "unknown_client_certificate",
                format!(
                    "its certificate is signed by no CA of {ca}; add its CA there, or give it another one"
                ),
            ),
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => rejected(
                "expired_client_certificate",
                format!("its certificate has expired ({error}); renew it, or set this clock"),
            ),
            Error::InvalidCertificate(error) => rejected(
                "unusable_client_certificate",
                format!("its certificate cannot be used: {error}"),
            ),
            Error::InvalidMessage(_) => rejected(
                "no_tls",
                "it seems to speak no TLS; give it an endpoint with https:// in place of http://"
                    .to_owned(),
            ),
            Error::AlertReceived(alert) => rejected(
                "not_trusted",
                format!(
                    "it does not take our certificate {} ({alert:?}); name it the CA of that, and the host that is in it",
                    self.settings.own.0
                ),
            ),
            other => rejected("tls", format!("TLS failed: {other}")),
        }
    }
}

fn config(settings: &ServerTls, protocols: &[Vec<u8>]) -> Result<ServerConfig, Unusable> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(settings.versions))
        .map_err(|error| Unusable::new(&settings.path, error))?;
    let clients = match &settings.client_ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            trust(ca, &mut roots)?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| Unusable::new(ca, error))?
        }
        None => Arc::new(NoClientAuth),
    };
    let own = SingleCertAndKey::from(certified_key(&settings.own.0, &settings.own.1)?);
    let mut config = builder.with_client_cert_verifier(clients).with_cert_resolver(Arc::new(own));
    config.alpn_protocols = protocols.to_vec();
    Ok(config)
}

impl fmt::Debug for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSide").field("settings", &self.settings).finish_non_exhaustive()
    }
}

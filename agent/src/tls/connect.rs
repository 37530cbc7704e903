//! The connector of every exporter: TCP, and TLS over it where it is configured.
//!
//! Above it, hyper and h2 turn a broken connection into a text; what broke it is noted here, where it is seen.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::client::ClientSide;
use super::explain::Client;
use crate::config::ClientTls;
use crate::reload::Unusable;

/// How long each step to a connection may take: the name and TCP, then TLS.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is asked for a sign of life this often, so that a server that went away without a word is
/// noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Makes connections, for tonic's channel and for hyper's client.
///
/// The scheme of what it is asked for does not matter: with settings of TLS every connection is secured, and without
/// them none is.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Option<Arc<ClientSide>>,
    distrust: Distrust,
}

/// Why one side did not trust the other, until they do. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Distrust(Arc<Mutex<Option<String>>>);

impl Connector {
    /// Plain TCP without `tls`. `protocols` are offered to the server in this order: `h2`, `http/1.1`.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, or a system without CAs where none are named.
    pub fn new(tls: Option<&ClientTls>, protocols: &[&[u8]]) -> Result<Self, Unusable> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        // It would refuse https, which is made here.
        tcp.enforce_http(false);
        let tls = tls.map(|tls| ClientSide::new(tls, protocols)).transpose()?.map(Arc::new);
        Ok(Self { tcp, tls, distrust: Distrust::default() })
    }

    /// Where it is noted why a connection could not be trusted.
    pub fn distrust(&self) -> Distrust {
        self.distrust.clone()
    }
}

impl Distrust {
    /// Why the last connection could not be trusted, and what helps, if it could not.
    pub fn why(&self) -> Option<String> {
        self.lock().clone()
    }

    fn note(&self, why: String) {
        *self.lock() = Some(why);
    }

    /// For what is less certain than what may be known already.
    fn note_if_none(&self, why: String) {
        self.lock().get_or_insert(why);
    }

    fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_ready(context).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (tls, distrust) = (self.tls.clone(), self.distrust.clone());
        let host = uri.host().unwrap_or_default().to_owned();
        let tcp = self.tcp.call(uri);
        Box::pin(async move {
            let tcp = in_time(tcp, "no connection").await.and_then(|made| made.map_err(told));
            // Nobody is there: whether they would be trusted is another question.
            let tcp = tcp.inspect_err(|_| distrust.clear())?.into_inner();
            let stream = match tls {
                None => Stream::Plain(tcp),
                Some(tls) => {
                    in_time(handshake(tls, &host, tcp, distrust), "no TLS handshake").await??
                }
            };
            Ok(TokioIo::new(stream))
        })
    }
}

/// The innermost cause, which says most.
fn told(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let kind = cause.downcast_ref().map_or(io::ErrorKind::Other, io::Error::kind);
    io::Error::new(kind, cause.to_string())
}

async fn in_time<T>(step: impl Future<Output = T>, missing: &str) -> io::Result<T> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("{missing} within {STEP_TIMEOUT:?}"))
    })
}

async fn handshake(
    tls: Arc<ClientSide>,
    host: &str,
    tcp: TcpStream,
    distrust: Distrust,
) -> io::Result<Stream> {
    let name = tls.server_name(host).ok_or_else(|| {
        io::Error::other(format!("{host:?} is no name that a certificate could be for"))
    })?;
    let wanted = Arc::new(AtomicBool::new(false));
    let connector = tokio_rustls::TlsConnector::from(tls.connection(&wanted));
    let mut watch = Watch { tls, name: name.clone(), distrust, wanted, is_answered: false };
    match connector.connect(name, tcp).await {
        Ok(stream) => Ok(Stream::Secured(Box::new((stream, watch)))),
        Err(error) => {
            watch.distrust.clear();
            watch.failed(&error);
            if error.get_ref().is_none_or(|cause| !cause.is::<rustls::Error>()) {
                watch.distrust.note_if_none(watch.client().no_tls());
            }
            Err(watch.distrust.why().map_or(error, io::Error::other))
        }
    }
}

/// Looks at what a connection fails from, until the server has sent something.
pub struct Watch {
    tls: Arc<ClientSide>,
    name: ServerName<'static>,
    distrust: Distrust,
    /// The server asked for a certificate, and there is none.
    wanted: Arc<AtomicBool>,
    is_answered: bool,
}

impl Watch {
    fn client(&self) -> Client<'_> {
        Client { settings: &self.tls.settings, name: &self.name }
    }

    fn failed(&mut self, error: &io::Error) {
        if self.is_answered {
            return;
        }
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            // What we do not trust comes first; that we are not trusted may follow.
            Some(error @ rustls::Error::InvalidCertificate(_)) => {
                self.distrust.note(self.client().explain(error));
            }
            // From TLS 1.3 on the handshake is over for us before the server has looked at our certificate, or at the
            // want of it; its alert may be lost with the connection.
            _ if self.is_certificate_wanted() => {
                self.distrust.note(self.client().certificate_wanted());
            }
            Some(error) => self.distrust.note(self.client().explain(error)),
            None => {
                if let Some(why) = self.client().own_may_be_refused() {
                    self.distrust.note_if_none(why);
                }
            }
        }
    }

    fn is_certificate_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && self.tls.settings.own.is_none()
    }

    fn read(&mut self, result: &io::Result<()>, bytes: usize) {
        match result {
            Ok(()) if bytes > 0 && !self.is_answered => {
                self.is_answered = true;
                self.distrust.clear();
            }
            Ok(()) if bytes > 0 => {}
            Ok(()) => self.failed(&io::ErrorKind::UnexpectedEof.into()),
            Err(error) => self.failed(error),
        }
    }
}

/// A connection.
pub enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Over TLS.
    Secured(Box<(tokio_rustls::client::TlsStream<TcpStream>, Watch)>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Secured(secured) => {
                let (stream, watch) = &mut **secured;
                let before = buffer.filled().len();
                let polled = Pin::new(stream).poll_read(context, buffer);
                if let Poll::Ready(result) = &polled {
                    watch.read(result, buffer.filled().len() - before);
                }
                polled
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Secured(secured) => {
                let (stream, watch) = &mut **secured;
                let polled = Pin::new(stream).poll_write(context, bytes);
                if let Poll::Ready(Err(error)) = &polled {
                    watch.failed(error);
                }
                polled
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Secured(secured) => {
                let (stream, watch) = &mut **secured;
                let polled = Pin::new(stream).poll_flush(context);
                if let Poll::Ready(Err(error)) = &polled {
                    watch.failed(error);
                }
                polled
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Secured(secured) => Pin::new(&mut secured.0).poll_shutdown(context),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Secured(secured) if secured.0.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("tls", &self.tls).finish_non_exhaustive()
    }
}

//! The one connector of both protocols: TCP, and TLS over it where the endpoint is `https`.
//!
//! Above it, hyper and h2 turn a broken connection into a text; what broke it is noted here, where it is seen.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::config::OtlpConfig;

/// How long each step to a connection may take: the name and TCP, then TLS.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// An idle connection is asked for a sign of life this often, so that a receiver that went away without
/// a word is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Makes connections to the endpoint of one configuration.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    is_secured: bool,
    #[cfg(feature = "tls")]
    tls: Option<Arc<Tls>>,
    distrust: Distrust,
}

/// Why one side did not trust the other, the last time it did not.
#[derive(Clone, Default)]
pub(super) struct Distrust(Arc<Mutex<Option<String>>>);

#[cfg(feature = "tls")]
struct Tls {
    side: crate::tls::ClientSide,
    protocol: &'static [u8],
}

impl Connector {
    /// `protocol` is what the receiver is told we speak, in TLS.
    pub(super) fn new(config: &OtlpConfig, protocol: &'static [u8]) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        // It would refuse https, which is made here.
        tcp.enforce_http(false);
        #[cfg(not(feature = "tls"))]
        let _ = protocol;
        Self {
            tcp,
            is_secured: config.endpoint.uri.scheme_str() == Some("https"),
            #[cfg(feature = "tls")]
            tls: config.tls.clone().map(|side| Arc::new(Tls { side, protocol })),
            distrust: Distrust::default(),
        }
    }

    /// Where it is noted why a connection could not be trusted.
    pub(super) fn distrust(&self) -> Distrust {
        self.distrust.clone()
    }
}

impl Distrust {
    /// What was noted since it was last asked.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    #[cfg(feature = "tls")]
    fn note(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// For what is less certain than what may be known already.
    #[cfg(feature = "tls")]
    fn note_if_none(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
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
        self.distrust.take();
        let tcp = self.tcp.call(uri);
        #[cfg(feature = "tls")]
        let (tls, distrust) = (self.tls.clone(), self.distrust.clone());
        let is_secured = self.is_secured;
        Box::pin(async move {
            let tcp = in_time(tcp, "no connection").await?.map_err(io::Error::other)?.into_inner();
            #[cfg(feature = "tls")]
            if let Some(tls) = tls {
                let stream = in_time(tls.handshake(tcp, distrust), "no TLS handshake").await??;
                return Ok(TokioIo::new(stream));
            }
            if is_secured {
                return Err(io::Error::other("this endpoint cannot be sent to with TLS"));
            }
            Ok(TokioIo::new(Stream::Plain(tcp)))
        })
    }
}

async fn in_time<T>(step: impl Future<Output = T>, missing: &str) -> io::Result<T> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, format!("{missing} within {STEP_TIMEOUT:?}"))
    })
}

#[cfg(feature = "tls")]
impl Tls {
    async fn handshake(self: Arc<Self>, tcp: TcpStream, distrust: Distrust) -> io::Result<Stream> {
        let wanted = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = {
            let wanted = Arc::clone(&wanted);
            move || wanted.store(true, std::sync::atomic::Ordering::Relaxed)
        };
        let config = self.side.connection(self.protocol, asked).map_err(|why| {
            distrust.note(why.clone());
            io::Error::other(why)
        })?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut watch = Watch { tls: Arc::clone(&self), distrust, wanted, is_answered: false };
        match connector.connect(self.side.server_name.clone(), tcp).await {
            Ok(stream) => Ok(Stream::Secured(Box::new((stream, watch)))),
            Err(error) => {
                watch.failed(&error);
                if error.get_ref().is_none_or(|cause| !cause.is::<rustls::Error>()) {
                    watch.distrust.note_if_none(self.side.no_tls());
                }
                Err(error)
            }
        }
    }
}

/// Looks at what a connection fails from, until the receiver has sent something.
#[cfg(feature = "tls")]
pub(super) struct Watch {
    tls: Arc<Tls>,
    distrust: Distrust,
    /// The receiver asked for a certificate, and there is none.
    wanted: Arc<std::sync::atomic::AtomicBool>,
    is_answered: bool,
}

#[cfg(feature = "tls")]
impl Watch {
    fn failed(&mut self, error: &io::Error) {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        match tls {
            // From TLS 1.3 on the handshake is over for us before the receiver has looked at our
            // certificate, or at the want of it; its alert may be lost with the connection.
            _ if self.is_certificate_wanted() => {
                self.distrust.note(self.tls.side.certificate_wanted());
            }
            Some(error) => self.distrust.note(self.tls.side.explain(error)),
            None if !self.is_answered => {
                if let Some(why) = self.tls.side.own_may_be_refused() {
                    self.distrust.note_if_none(why);
                }
            }
            None => {}
        }
    }

    fn is_certificate_wanted(&self) -> bool {
        let wanted = self.wanted.load(std::sync::atomic::Ordering::Relaxed);
        wanted && !self.is_answered && self.tls.side.own.is_none()
    }

    fn read(&mut self, result: &io::Result<()>, bytes: usize) {
        match result {
            Ok(()) if bytes > 0 => self.is_answered = true,
            Ok(()) => self.failed(&io::ErrorKind::UnexpectedEof.into()),
            Err(error) => self.failed(error),
        }
    }
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
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
            #[cfg(feature = "tls")]
            Self::Secured(secured) => Pin::new(&mut secured.0).poll_shutdown(context),
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

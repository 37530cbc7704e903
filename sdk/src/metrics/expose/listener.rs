//! The listener of `/metrics`: a thread with a runtime of its own, so that a scrape works beside a blocked
//! worker, and a scraper never takes the time of a request.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tower_service::Service as _;

use crate::background;
use crate::config::ScrapeSecurity;
use crate::metrics::registry::Registry;
use crate::metrics::series::Losses;
use crate::scrape_token::Token;

/// How long a scraper may take to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, answers included: a scraper makes a new one, and one that reads slowly
/// does not keep its place for ever.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(60);
/// The connections at one time; each may hold an answer in memory.
const MAX_CONNECTIONS: usize = 32;
/// The pause after `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the end waits for the thread, which has nothing to do but to close its sockets.
const STOP_TIMEOUT: Duration = Duration::from_millis(250);

/// A listener that runs; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    stopped: mpsc::Receiver<()>,
}

impl Listener {
    /// Binds the address and starts to answer.
    ///
    /// # Errors
    /// The address cannot be bound, or the system has no thread for it.
    pub(crate) fn start(
        address: SocketAddr,
        security: ScrapeSecurity,
        registry: Registry,
    ) -> io::Result<Self> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopping) = oneshot::channel();
        let (stopped_here, stopped) = mpsc::channel::<()>();
        let for_want_of_a_runtime =
            "there is no runtime to serve metrics; a scraper will find nothing";
        let work = move || serve(listener, security, registry, stopping);
        background::start("spanline-metrics", for_want_of_a_runtime, stopped_here, work)?;
        Ok(Self { address, stop: Some(stop), stopped })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the socket; what is connected is cut off.
    pub(crate) fn stop(&mut self, deadline: Instant) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
            let left = deadline.saturating_duration_since(Instant::now()).min(STOP_TIMEOUT);
            // The other end is dropped with the thread.
            let _ = self.stopped.recv_timeout(left);
        }
    }
}

async fn serve(
    listener: StdListener,
    security: ScrapeSecurity,
    registry: Registry,
    mut stopping: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(target: "spanline", %error, "metrics cannot be served");
            return;
        }
    };
    let app = super::router(registry.clone());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Also when whoever could stop it is gone.
            _ = &mut stopping => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let (security, registry) = (security.clone(), registry.clone());
                drop(tokio::spawn(connection(stream, app.clone(), security, registry, place)));
            }
            Err(_) => Losses::count(&registry.common().losses.refused_scrapers),
        }
    }
}

async fn connection(
    stream: TcpStream,
    app: Router,
    security: ScrapeSecurity,
    registry: Registry,
    _place: OwnedSemaphorePermit,
) {
    // A client that never says anything would not even start the header timeout.
    let speaks = tokio::time::timeout(HEADER_TIMEOUT, stream.readable()).await;
    if !matches!(speaks, Ok(Ok(()))) {
        return;
    }
    let token = security.token;
    #[cfg(feature = "tls")]
    if let Some(side) = security.tls {
        let shaken = async {
            // Read off the thread, which serves others.
            let config = tokio::task::spawn_blocking(move || side.connection()).await.ok()?.ok()?;
            tokio_rustls::TlsAcceptor::from(config).accept(stream).await.ok()
        };
        match tokio::time::timeout(HEADER_TIMEOUT, shaken).await {
            Ok(Some(stream)) => answer(stream, app, token, registry).await,
            _ => Losses::count(&registry.common().losses.refused_scrapers),
        }
        return;
    }
    answer(stream, app, token, registry).await;
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    token: Option<Token>,
    registry: Registry,
) {
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let (mut app, token, registry) = (app.clone(), token.clone(), registry.clone());
        async move {
            if token.is_some_and(|token| !token.is_shown(request.headers())) {
                Losses::count(&registry.common().losses.refused_scrapers);
                return Ok(unauthorized());
            }
            app.call(request.map(Body::new)).await
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's business.
    drop(tokio::time::timeout(CONNECTION_LIFETIME, connection).await);
}

fn unauthorized() -> http::Response<Body> {
    let text = "these metrics are for scrapers that show a token: Authorization: Bearer, as in the file that \
        SPANLINE_METRICS_TOKEN_FILE names\n";
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = http::StatusCode::UNAUTHORIZED;
    let challenge = http::HeaderValue::from_static("Bearer realm=\"metrics\"");
    response.headers_mut().insert(http::header::WWW_AUTHENTICATE, challenge);
    response
}

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;

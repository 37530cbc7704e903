//! Serves an axum router until SIGTERM or SIGINT, and flushes telemetry before it returns.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tower_service::Service as _;

use crate::init;

/// How long a client may take to send a request's headers; a connection that is silent for longer after
/// it was made is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The part of the shutdown's time that is kept for telemetry.
const TELEMETRY_RESERVE: Duration = Duration::from_secs(2);
/// Without telemetry started there is no deadline to share; requests then have this long to finish.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until SIGTERM or SIGINT; then lets requests finish, flushes telemetry, and
/// returns, all within the shutdown's deadline (5 s by default). A second signal ends the process at once.
///
/// Unlike `axum::serve` it gives up on clients that do not finish their headers, closes idle connections
/// when it stops, and does not lose the last spans and lines. Handlers find the client's address as
/// `ConnectInfo<SocketAddr>`.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// let app = axum::Router::new().layer(spanline::http::server());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// spanline::serve(listener, app).await
/// # }
/// ```
///
/// # Errors
/// The signals cannot be listened for. What befalls a connection is no error.
pub async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let connections = GracefulShutdown::new();
    let signal_number = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(connection(stream, peer, app.clone(), connections.watcher()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            _ = terminate.recv() => break SignalKind::terminate().as_raw_value(),
            _ = interrupt.recv() => break SignalKind::interrupt().as_raw_value(),
        }
    };
    let deadline = Instant::now() + init::shutdown_timeout().unwrap_or(DEFAULT_TIMEOUT);
    drop(listener);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // As a shell would say it.
        std::process::exit(128 + signal_number);
    });
    let requests_deadline = deadline.checked_sub(TELEMETRY_RESERVE).unwrap_or(deadline);
    // Requests that are not done by then are cut off when the runtime ends.
    drop(tokio::time::timeout_at(requests_deadline.into(), connections.shutdown()).await);
    // Off the runtime's own threads: they may be needed for the second signal.
    drop(tokio::task::spawn_blocking(move || init::shutdown_started(deadline)).await);
    Ok(())
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, watcher: Watcher) {
    // A client that never says anything would not even start the header timeout.
    let speaks = tokio::time::timeout(HEADER_TIMEOUT, stream.readable()).await;
    if !matches!(speaks, Ok(Ok(()))) {
        return;
    }
    // Not essential: answers may then wait for more to come.
    drop(stream.set_nodelay(true));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // How a connection ends is its client's business.
    drop(watcher.watch(connection.into_owned()).await);
}

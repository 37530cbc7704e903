//! Serves an axum router until SIGTERM or SIGINT, and flushes telemetry before it returns.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::thread;
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
use tokio::sync::{Notify, oneshot};
use tower_service::Service as _;

use crate::init;
use crate::signals::{self, Registration};

/// How long a client may take to send a request's headers; a connection that brings no request within it after it
/// was made is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The part of the shutdown's time that is kept for telemetry.
const TELEMETRY_RESERVE: Duration = Duration::from_secs(2);
/// Without telemetry started there is no deadline to share; requests then have this long to finish.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until SIGTERM or SIGINT; then lets requests finish, flushes telemetry, and
/// returns, all within the shutdown's deadline (5 s by default). A second signal ends the process at once,
/// with exit code 128 + its number.
///
/// Requests have until 2 s before that deadline; the rest is telemetry's. A thread of our own sees the signals
/// and flushes: both happen in time also when a handler blocks the only worker of the runtime. What happens
/// after that is up to `main`; a runtime waits for its blocking tasks when it is dropped.
///
/// Unlike `axum::serve` it gives up on clients that do not finish their headers, closes idle connections
/// when it stops, and does not lose the last spans and lines. Handlers find the client's address as
/// `ConnectInfo<SocketAddr>`.
///
/// It works in a runtime of any kind, with its I/O and its time enabled. Dropped before it has ended, it
/// leaves the signals to the program: one is then without effect, a second one still ends the process.
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
    let mut ending = Ending::on_signal()?;
    init::watch_current_runtime();
    let connections = GracefulShutdown::new();
    let deadline = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(connection(stream, peer, app.clone(), connections.watcher()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            deadline = &mut ending.begun => break deadline.unwrap_or_else(|_| own_deadline()),
        }
    };
    drop(listener);
    let requests_deadline = requests_deadline(deadline);
    // Requests that are not done by then are cut off when the runtime ends.
    drop(tokio::time::timeout_at(requests_deadline.into(), connections.shutdown()).await);
    drop(ending.requests_are_done);
    if ending.flushed.await.is_err() {
        // For want of a thread: better here than not at all.
        init::shutdown_started(deadline);
    }
    Ok(())
}

/// The end of the process as `serve` sees it.
struct Ending {
    /// A signal has come: everything is to be over by then.
    begun: oneshot::Receiver<Instant>,
    /// Its drop lets telemetry's shutdown begin.
    requests_are_done: mpsc::Sender<()>,
    /// Telemetry is down.
    flushed: oneshot::Receiver<()>,
    _registration: Registration,
}

impl Ending {
    fn on_signal() -> io::Result<Self> {
        let (begin, begun) = oneshot::channel();
        let (requests_are_done, wait_for_requests) = mpsc::channel::<()>();
        let (tell_flushed, flushed) = oneshot::channel();
        let registration = signals::on_first(Box::new(move |_| {
            let deadline = own_deadline();
            let flush = move || {
                let left = requests_deadline(deadline).saturating_duration_since(Instant::now());
                // They are done, or `serve` is gone, or the time is up.
                let _ = wait_for_requests.recv_timeout(left);
                init::shutdown_started(deadline);
                let _ = tell_flushed.send(());
            };
            // Without a thread both ends of `flushed` are gone, and `serve` flushes.
            drop(thread::Builder::new().name("spanline-shutdown".to_owned()).spawn(flush));
            let _ = begin.send(deadline);
        }))?;
        Ok(Self { begun, requests_are_done, flushed, _registration: registration })
    }
}

fn own_deadline() -> Instant {
    Instant::now() + init::shutdown_timeout().unwrap_or(DEFAULT_TIMEOUT)
}

fn requests_deadline(deadline: Instant) -> Instant {
    deadline.checked_sub(TELEMETRY_RESERVE).unwrap_or(deadline)
}

async fn connection(stream: TcpStream, peer: SocketAddr, app: Router, watcher: Watcher) {
    // Not essential: answers may then wait for more to come.
    drop(stream.set_nodelay(true));
    let first_request = Arc::new(Notify::new());
    let requested = Arc::clone(&first_request);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        requested.notify_one();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().call(request)
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection.into_owned()));
    // The header timeout begins when it is clear which version of HTTP is spoken; a client that says nothing, or
    // what may become either, would never start it.
    let speaks = tokio::time::timeout(HEADER_TIMEOUT, first_request.notified());
    let speaks = tokio::select! {
        // How a connection ends is its client's business.
        _ = &mut connection => return,
        speaks = speaks => speaks.is_ok(),
    };
    if speaks {
        drop(connection.await);
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a client of a server gets to read until the connection ends.
    async fn answer_to(bytes: &[u8]) -> Vec<u8> {
        let slow = || async {
            tokio::time::sleep(HEADER_TIMEOUT * 3).await;
            "slow"
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let connections = GracefulShutdown::new();
        let app = Router::new().route("/slow", get(slow));
        let served = tokio::spawn(connection(stream, peer, app, connections.watcher()));
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        served.await.unwrap();
        answer
    }

    // The clock jumps ahead whenever everybody waits.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_brings_no_request_is_closed_whatever_it_begins_with() {
        for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HT", "GET / HTTP/1.1\r\nhost: a"] {
            answer_to(beginning.as_bytes()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_as_long_as_it_likes() {
        let answer = answer_to(b"GET /slow HTTP/1.1\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with(b"slow"), "{}", String::from_utf8_lossy(&answer));
    }
}

//! The accept loop under every listener of the agent.
//!
//! `axum::serve` sets no timer, so a client that sends its headers byte by byte holds its connection for
//! ever. Here a connection has a time to say something and a time to finish its headers, there is a bound
//! to their number, and a stop gives those that are busy a moment and closes those that are idle at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections of one listener at a time; further ones wait in the system's backlog.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a new connection may be silent, and how long its headers may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// A gRPC connection is asked for a sign of life this often, and closed if none comes in the same time.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long requests may take to finish once the agent stops.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// The pause after `accept` failed, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener`, HTTP/1.1 and HTTP/2 without TLS, until `stop` says so.
pub async fn until_stopped(listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = tasks.join_next() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let watcher = connections.watcher();
        let service = TowerToHyperService::new(app.clone());
        tasks.spawn(async move {
            if speaks_in_time(&stream).await {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                builder
                    .http2()
                    .timer(TokioTimer::new())
                    .keep_alive_interval(KEEP_ALIVE)
                    .keep_alive_timeout(KEEP_ALIVE)
                    .max_concurrent_streams(256);
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                // How a connection ends is its client's business.
                drop(watcher.watch(connection.into_owned()).await);
            }
            drop(permit);
        });
    }
    drop(listener);
    drop(tokio::time::timeout(STOP_GRACE, connections.shutdown()).await);
    tasks.abort_all();
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small answers should not wait for more to come; not essential if it cannot be set.
            drop(stream.set_nodelay(true));
            Some((stream, permit))
        }
        Err(_) => {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Waits for the first byte: the header timeout starts only with it.
async fn speaks_in_time(stream: &TcpStream) -> bool {
    matches!(tokio::time::timeout(HEADER_TIMEOUT, stream.readable()).await, Ok(Ok(())))
}

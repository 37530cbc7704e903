//! Listeners: accept connections, within limits, until told to stop.
//!
//! `axum::serve` sets no timer, so a connection that never finishes its request's head would stay
//! for ever; nor has it a cap on connections. Hence this loop: every listener of the agent runs it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::tls::ServerSide;

/// Connections that one listener holds at a time; further ones wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that one HTTP/2 connection may have under way.
const MAX_CONCURRENT_STREAMS: u32 = 64;
/// Bytes of headers that one HTTP/2 request may have; HTTP/1 has hyper's buffer size as its bound.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Bytes of head that an HTTP/1 connection buffers.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
/// How often an idle HTTP/2 peer is asked whether it is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long an accept loop rests when the kernel has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests under way may take to finish once the listener stops.
pub const GRACE: Duration = Duration::from_millis(800);

/// A bound port, not yet served.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    protocol: Protocol,
    /// How connections are secured, if they are.
    secured: Option<Arc<ServerSide>>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Http1,
    /// With so many requests under way on one connection.
    Http2(u32),
}

impl Listener {
    /// Binds `address`, in which a name may stand for the host; port 0 takes any free one.
    ///
    /// # Errors
    /// What the operating system says, usually that the address is taken or is not this machine's.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, protocol: Protocol::Http1, secured: None })
    }

    /// Speaks HTTP/2 only, as gRPC wants it.
    #[must_use]
    pub fn http2_only(self) -> Self {
        self.http2_with(MAX_CONCURRENT_STREAMS)
    }

    /// The same, with so many requests under way on one connection.
    #[must_use]
    pub fn http2_with(mut self, max_concurrent_streams: u32) -> Self {
        self.protocol = Protocol::Http2(max_concurrent_streams);
        self
    }

    /// Serves only those who get through a TLS handshake.
    #[must_use]
    pub fn secured(mut self, side: ServerSide) -> Self {
        self.secured = Some(Arc::new(side));
        self
    }

    /// The address with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop` turns true (or its sender is gone). Idle connections are then
    /// closed at once; requests under way get [`GRACE`] to finish.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                // Frees what ended connections leave behind.
                Some(_) = connections.join_next() => continue,
                accepted = self.accept(&room) => accepted,
            };
            match accepted {
                Ok((stream, permit)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    let secured = self.secured.clone();
                    connections.spawn(connection(
                        stream,
                        router,
                        self.protocol,
                        secured,
                        stop,
                        permit,
                    ));
                }
                Err(error) => {
                    tracing::warn!(address = %self.address, %error,
                        "cannot accept a connection; trying again, clients wait meanwhile");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.socket);
        let finished = async { while connections.join_next().await.is_some() {} };
        // What has not finished by then is cut off when the set is dropped.
        let _ = timeout(GRACE, finished).await;
    }

    async fn accept(&self, room: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, _) = self.socket.accept().await?;
        // Answers are small; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        Ok((stream, permit))
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    protocol: Protocol,
    secured: Option<Arc<ServerSide>>,
    stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    // Neither protocol's timers run before the first byte.
    let (mut stopped, mut first_byte) = (stop.clone(), [0]);
    tokio::select! {
        first = timeout(HEADER_TIMEOUT, stream.peek(&mut first_byte)) => match first {
            Ok(Ok(1..)) => {}
            // Gone, or silent for too long.
            _ => return,
        },
        _ = stopped.wait_for(|stop| *stop) => return,
    }
    let Some(side) = secured else { return served(stream, router, protocol, stop).await };
    let shaken = async {
        let mut stream = BufReader::new(side.accept(stream).await?);
        // As above: neither protocol's timers run before the first byte.
        let first = timeout(HEADER_TIMEOUT, stream.fill_buf()).await.ok()?.ok()?;
        (!first.is_empty()).then_some(stream)
    };
    let shaken = tokio::select! {
        shaken = shaken => shaken,
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    if let Some(stream) = shaken {
        served(stream, router, protocol, stop).await;
    }
}

/// Speaks HTTP with whoever is there.
async fn served(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    router: Router,
    protocol: Protocol,
    stop: watch::Receiver<bool>,
) {
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    if let Protocol::Http2(max_concurrent_streams) = protocol {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .max_concurrent_streams(max_concurrent_streams)
            .max_header_list_size(MAX_HEADER_BYTES)
            .serve_connection(io, service);
        until_stopped(connection, stop, |connection| connection.graceful_shutdown()).await;
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HTTP1_BUFFER_BYTES)
            .serve_connection(io, service);
        until_stopped(connection, stop, |connection| connection.graceful_shutdown()).await;
    }
}

/// Drives a connection; once `stop` is true, asks it to end with the request under way.
async fn until_stopped<C: Future>(
    connection: C,
    mut stop: watch::Receiver<bool>,
    shut_down: impl FnOnce(Pin<&mut C>),
) {
    tokio::pin!(connection);
    tokio::select! {
        // A client that goes away, or speaks something else, is no fault of ours.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => shut_down(connection.as_mut()),
    }
    connection.await;
}

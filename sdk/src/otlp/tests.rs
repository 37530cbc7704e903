//! Both senders against a receiver behind a real socket, which answers each way.

mod answers;
#[cfg(feature = "tls")]
mod secured;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::Answer;
use crate::config::{OtlpConfig, Overrides};
use crate::error::Fault;
use crate::otlp_signal::Signal;
use crate::vars::{Reader, Vars};

const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

/// What a receiver answers, in either protocol.
#[derive(Clone, Default)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// The message, and for gRPC the trailers.
    message: Bytes,
    trailers: HeaderMap,
}

/// A request that was received.
#[derive(Debug)]
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A receiver of OTLP that remembers what it was sent.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

struct Given(Vec<(&'static str, String)>);

impl Vars for Given {
    fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.clone())
    }
}

fn config(signal: Signal, vars: Vec<(&'static str, String)>) -> (OtlpConfig, Vec<Fault>) {
    let vars = Given(vars);
    let mut reader = Reader::new(&vars);
    let config = OtlpConfig::read(signal, None, &Overrides::default(), &mut reader);
    (config, reader.into_faults())
}

/// Sends one request by the settings, and nothing else.
async fn sent(vars: Vec<(&'static str, String)>) -> Answer {
    let (config, faults) = config(Signal::Traces, vars);
    assert_eq!(faults, []);
    super::connect(&config).send(Bytes::from_static(b"spans")).await
}

impl Reply {
    /// "Taken", with this message.
    fn taken(protocol: &str, message: Bytes) -> Self {
        match protocol {
            "grpc" => Self::grpc("0", message),
            _ => Self { message, ..Self::default() },
        }
    }

    fn grpc(status: &'static str, message: Bytes) -> Self {
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        let headers = HeaderMap::from_iter([(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        )]);
        Self { status: StatusCode::OK, headers, message: framed.into(), trailers }
    }
}

impl Receiver {
    async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self::at(&listener);
        let seen = Arc::clone(&receiver.seen);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, reply.clone(), Arc::clone(&seen)));
            }
        });
        receiver
    }

    fn at(listener: &TcpListener) -> Self {
        Self { address: listener.local_addr().unwrap(), seen: Arc::default() }
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    reply: Reply,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (reply, seen) = (reply.clone(), Arc::clone(&seen));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let path = parts.uri.path().to_owned();
            seen.lock().unwrap().push(Seen { path, headers: parts.headers, body });
            let trailers = reply.trailers.clone();
            let trailers = (!trailers.is_empty()).then_some(Ok(trailers));
            let body = Full::new(reply.message.clone()).with_trailers(async move { trailers });
            let mut response = Response::new(body);
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers.clone();
            Ok::<_, Infallible>(response)
        }
    });
    // A sender that is dropped breaks its connection.
    drop(auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), answer).await);
}

//! An HTTP server for tests: remembers what it is asked, and answers what it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::record::{Body, LogBatch, LogRecord, Text};

/// Lines without a resource, in the order of their times.
pub(crate) fn lines(lines: &[&str]) -> LogBatch {
    let record = |(n, line): (usize, &&str)| LogRecord {
        time_unix_nano: n as u64 + 1,
        observed_time_unix_nano: 0,
        severity_number: 0,
        severity_text: String::new(),
        body: Body::Text(Text::from((*line).to_owned())),
        attributes: Vec::new(),
        trace_id: None,
        span_id: None,
        flags: 0,
    };
    let records = lines.iter().enumerate().map(record).collect();
    LogBatch { resource: Arc::default(), scope: None, records }
}

/// The server; it ends with this.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

/// What it was asked.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(super) struct Scripted {
    response: Response<Full<Bytes>>,
    manner: Manner,
}

#[derive(Debug, Clone, Copy)]
enum Manner {
    Answers,
    Hangs,
    Resets,
}

pub(super) fn answer(status: u16, body: impl AsRef<[u8]>) -> Scripted {
    let body = Full::from(Bytes::copy_from_slice(body.as_ref()));
    let response = Response::builder().status(status).body(body).unwrap();
    Scripted { response, manner: Manner::Answers }
}

impl Scripted {
    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.response.headers_mut().insert(HeaderName::from_static(name), value);
        self
    }

    pub(super) fn hanging(self) -> Self {
        Self { manner: Manner::Hangs, ..self }
    }

    pub(super) fn resetting(self) -> Self {
        Self { manner: Manner::Resets, ..self }
    }
}

impl Server {
    pub(super) async fn start(
        script: impl Fn(&Request) -> Scripted + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, script) = (Arc::default(), Arc::new(script));
        let kept: Arc<Mutex<Vec<Request>>> = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
                        let path = head.uri.path().to_owned();
                        let request = Request { path, headers: head.headers, body };
                        let Scripted { response, manner } = script(&request);
                        kept.lock().unwrap().push(request);
                        match manner {
                            Manner::Answers => Ok(response),
                            Manner::Hangs => std::future::pending().await,
                            Manner::Resets => Err(std::io::Error::other("reset")),
                        }
                    }
                });
                tokio::spawn(async move {
                    let connection = http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, requests, task }
    }

    /// What it was asked so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

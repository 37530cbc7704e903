//! A back end over HTTP, in plain text or secured, that takes what it is told to.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's harness, of which each test uses its part"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The back end; it ends with this.
pub struct Backend {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    task: JoinHandle<()>,
}

/// A request that was answered with success.
#[derive(Debug, Clone)]
pub struct Taken {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

type Rule = Arc<dyn Fn(&HeaderMap) -> u16 + Send + Sync>;

impl Backend {
    /// Answers each request with the status that `rule` makes of its headers.
    pub async fn start(
        tls: Option<ServerConfig>,
        rule: impl Fn(&HeaderMap) -> u16 + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let (kept, rule): (_, Rule) = (Arc::clone(&taken), Arc::new(rule));
        let acceptor = tls.map(|tls| TlsAcceptor::from(Arc::new(tls)));
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, kept, rule) =
                    (acceptor.clone(), Arc::clone(&kept), Arc::clone(&rule));
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp, kept, rule).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(tcp).await else { return };
                            serve(stream, kept, rule).await;
                        }
                    }
                });
            }
        });
        Self { address, taken, task }
    }

    /// What it took.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    taken: Arc<Mutex<Vec<Taken>>>,
    rule: Rule,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (taken, rule) = (Arc::clone(&taken), Arc::clone(&rule));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let status = rule(&head.headers);
            if status < 300 {
                let path = head.uri.path().to_owned();
                taken.lock().unwrap().push(Taken { path, headers: head.headers, body });
            }
            let body = Full::<Bytes>::default();
            Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
        }
    });
    // A connection that breaks is the client's to notice.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

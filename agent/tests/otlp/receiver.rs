//! A receiver on ports of its own with a sink that keeps what it gets, and a client for it.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use spanline_agent::config::Signal;
use spanline_agent::receive::Receivers;
use spanline_agent::record::Batch;
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::serve::Listener;
use spanline_agent::sink::{Delivery, Full as QueueFull, Sink};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};

pub(crate) struct Receiver {
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) metrics: Arc<SelfMetrics>,
    kept: Arc<Kept>,
    _stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Kept {
    batches: Mutex<Vec<Batch>>,
    full: bool,
}

impl Sink for Kept {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let _ = self.try_send(delivery);
        Box::pin(std::future::ready(()))
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), QueueFull> {
        if self.full {
            return Err(QueueFull);
        }
        self.batches.lock().unwrap().push(delivery.batch);
        Ok(())
    }
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::over(Kept::default()).await
    }

    /// One whose queues have no room.
    pub(crate) async fn full() -> Self {
        Self::over(Kept { full: true, ..Kept::default() }).await
    }

    async fn over(kept: Kept) -> Self {
        let (kept, metrics) = (Arc::new(kept), Arc::new(SelfMetrics::new()));
        let signals = [Signal::Traces, Signal::Metrics, Signal::Logs];
        let sink = Arc::clone(&kept) as Arc<dyn Sink>;
        let receivers = Receivers::new(sink, Arc::clone(&metrics), &signals);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let http = Listener::bind(any).await.unwrap();
        let grpc = Listener::bind(any).await.unwrap().http2_only();
        let (stop, stopped) = watch::channel(false);
        let addresses = (http.address(), grpc.address());
        tokio::spawn(http.serve(receivers.http(), stopped.clone()));
        tokio::spawn(grpc.serve(receivers.grpc(), stopped));
        Self { http: addresses.0, grpc: addresses.1, metrics, kept, _stop: stop }
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// What came through, in order.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.kept.batches.lock().unwrap().clone()
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = Request::post(path);
        let request = headers.iter().fold(request, |request, (k, v)| request.header(*k, *v));
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Answer {
        let host = self.http.to_string().parse().unwrap();
        request.headers_mut().insert("host", host);
        let stream = TcpStream::connect(self.http).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = client.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Answer { status: head.status, headers: head.headers, body }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn span(name: &str) -> Span {
    Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: name.to_owned(), ..Span::default() }
}

pub(crate) fn traces(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// The names of all spans that came through.
pub(crate) fn span_names(batches: &[Batch]) -> Vec<String> {
    let spans = batches.iter().filter_map(|batch| match batch {
        Batch::Spans(spans) => Some(&spans.resource_spans),
        _ => None,
    });
    let scopes = spans.flatten().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()).collect()
}

//! An OTLP receiver that answers as it is told, and remembers the spans that it took.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a [`Receiver`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// It takes what it gets.
    Takes,
    /// It takes nothing, and says so.
    With(StatusCode),
    /// It takes nothing, and never answers.
    Hangs,
    /// It takes what it gets, and answers with so many bytes of nothing.
    AtLength(usize),
}

/// See the module. Its drop ends it.
#[derive(Debug)]
pub struct Receiver {
    endpoint: String,
    shared: Arc<Shared>,
    server: JoinHandle<io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    answering: Mutex<Answering>,
    requests: Mutex<u64>,
    span_ids: Mutex<HashSet<String>>,
}

impl Receiver {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            answering: Mutex::new(Answering::Takes),
            requests: Mutex::default(),
            span_ids: Mutex::default(),
        });
        let app = Router::new().route("/v1/traces", post(traces)).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { endpoint, shared, server })
    }

    /// Where it listens, as a setting.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How it answers from now on.
    pub fn answer(&self, answering: Answering) {
        *lock(&self.shared.answering) = answering;
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        *lock(&self.shared.requests)
    }

    /// The ids of all spans that it took, in hex.
    pub fn span_ids(&self) -> HashSet<String> {
        lock(&self.shared.span_ids).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn traces(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    *lock(&shared.requests) += 1;
    let answering = *lock(&shared.answering);
    match answering {
        Answering::Takes => shared.take(body, 0),
        Answering::AtLength(bytes) => shared.take(body, bytes),
        Answering::With(status) => status.into_response(),
        Answering::Hangs => std::future::pending().await,
    }
}

impl Shared {
    fn take(&self, body: Bytes, answer_bytes: usize) -> Response {
        let Ok(request) = ExportTraceServiceRequest::decode(body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let ids = scopes
            .flat_map(|scope| scope.spans)
            .map(|span| span.span_id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        lock(&self.span_ids).extend(ids);
        vec![0_u8; answer_bytes].into_response()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

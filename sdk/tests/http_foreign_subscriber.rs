//! The HTTP layers beside a user's own `tracing` subscriber: its OpenTelemetry layer makes their spans.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

mod harness {
    pub(crate) mod http;
}

use std::sync::{Arc, Mutex};
use std::task::Context as TaskContext;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::StatusCode;
use http_body_util::BodyExt as _;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use tower::{ServiceBuilder, ServiceExt as _};
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use harness::http::{PARENT, app, ask, empty, hyper_client, request, serve};

/// The spans that ended in this test.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Ended {
    /// Records the spans of this test's thread; a test runs on one thread, its server included.
    fn record() -> (Self, DefaultGuard) {
        let ended = Self::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        (ended, guard)
    }

    fn all(&self) -> Vec<SpanData> {
        self.0.lock().unwrap().clone()
    }

    fn only(&self) -> SpanData {
        let mut spans = self.all();
        assert_eq!(spans.len(), 1, "spans: {spans:#?}");
        spans.remove(0)
    }

    /// Waits for so many spans to end; a server may end its span after the client has its answer.
    async fn at_least(&self, count: usize) -> Vec<SpanData> {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while self.all().len() < count {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "waited for {count} spans, have {:#?}", self.all());
        self.all()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| match &pair.value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    })
}

fn failed(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. })
}

#[tokio::test]
async fn a_request_is_one_server_span_named_by_its_route() {
    let (ended, _guard) = Ended::record();
    let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 4711));
    let request = request("/users/7?token=secret&page=2")
        .extension(axum::extract::ConnectInfo(peer))
        .header("host", "[::1]:3000")
        .header("user-agent", "curl/8");
    ask(app(), request).await;
    let span = ended.only();
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert!(!failed(&span));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/users/{id}"),
        ("http.response.status_code", "200"),
        ("url.path", "/users/7"),
        ("url.query", "token=REDACTED&page=REDACTED"),
        ("url.scheme", "http"),
        ("server.address", "::1"),
        ("server.port", "3000"),
        ("client.address", "192.0.2.7"),
        ("user_agent.original", "curl/8"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(&span, "error.type"), None);
}

#[tokio::test]
async fn the_callers_trace_is_continued_and_a_malformed_one_is_not() {
    let (ended, _guard) = Ended::record();
    ask(app(), request("/users/7").header("traceparent", PARENT)).await;
    ask(app(), request("/users/7").header("traceparent", &PARENT[..54])).await;
    let [continued, begun] = ended.all().try_into().unwrap();
    assert_eq!(continued.span_context.trace_id().to_string(), &PARENT[3..35]);
    assert_eq!(continued.parent_span_id.to_string(), &PARENT[36..52]);
    assert!(continued.parent_span_is_remote);
    assert_ne!(begun.span_context.trace_id(), continued.span_context.trace_id());
    assert_eq!(begun.parent_span_id.to_string(), "0000000000000000");
}

#[tokio::test]
async fn only_the_servers_own_faults_fail_its_span() {
    let (ended, _guard) = Ended::record();
    assert_eq!(ask(app(), request("/fails")).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(app(), request("/refuses")).await, StatusCode::FORBIDDEN);
    let [fault, refusal] = ended.all().try_into().unwrap();
    assert!(failed(&fault));
    assert_eq!(attribute(&fault, "error.type").as_deref(), Some("503"));
    assert!(!failed(&refusal));
    assert_eq!(attribute(&refusal, "http.response.status_code").as_deref(), Some("403"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_span_as_cancelled() {
    let (ended, _guard) = Ended::record();
    let mut hanging = Box::pin(app().oneshot(request("/hangs").body(Body::empty()).unwrap()));
    let mut context = TaskContext::from_waker(std::task::Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    assert_eq!(ended.all().len(), 0);
    drop(hanging);
    assert_eq!(attribute(&ended.only(), "error.type").as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_handler_sees_the_ids_of_the_span_that_is_exported() {
    let (ended, _guard) = Ended::record();
    let seen = Arc::new(Mutex::new(None));
    let sees = Arc::clone(&seen);
    let handler = async move || {
        tokio::task::yield_now().await;
        let current = tracing::Span::current().context().span().span_context().clone();
        assert_eq!(Context::current().span().span_context(), &current);
        *sees.lock().unwrap() = Some(current);
    };
    let app = Router::new().route("/", get(handler)).layer(spanline::http::server());
    ask(app, request("/")).await;
    assert_eq!(seen.lock().unwrap().clone().unwrap(), ended.only().span_context);
}

#[tokio::test]
async fn client_and_server_are_one_trace_over_a_socket() {
    let (ended, _guard) = Ended::record();
    let url = serve(app()).await;
    let client = ServiceBuilder::new().layer(spanline::http::client()).service(hyper_client());
    let mut request = empty(&format!("{url}/users/7?token=secret"));
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    let response = client.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let spans = ended.at_least(2).await;
    let of = |kind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    let (client, server) = (of(SpanKind::Client), of(SpanKind::Server));
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert_eq!(server.span_context.trace_id(), client.span_context.trace_id());
    assert_ne!(client.span_context.trace_id().to_string(), &PARENT[3..35], "a stale parent");
    assert_eq!(attribute(server, "error.type"), None);
    assert_eq!(client.name, "GET");
    assert_eq!(attribute(client, "url.full"), Some(format!("{url}/users/7?token=REDACTED")));
    assert_eq!(attribute(client, "server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(attribute(client, "http.response.status_code").as_deref(), Some("200"));
}

//! What the HTTP layers promise: the right spans, ended at the right moment, in one trace.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

mod harness {
    pub(crate) mod http;
}

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt as _;
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use spanline::testing::{self, Span, TestTelemetry, Value};
use tower::{ServiceBuilder, ServiceExt as _};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use harness::http::{PARENT, app, ask, empty, hyper_client, request, serve};

/// The spans that ended in this test.
struct Ended(TestTelemetry);

impl Ended {
    /// Records the spans of this test's thread; a test runs on one thread, its server included.
    fn record() -> Self {
        Self(testing::start())
    }

    fn all(&self) -> Vec<Span> {
        self.0.spans()
    }

    fn only(&self) -> Span {
        let mut spans = self.all();
        assert_eq!(spans.len(), 1, "spans: {spans:#?}");
        spans.remove(0)
    }

    /// Waits for so many spans to end; a server may end its span after the client has its answer.
    async fn at_least(&self, count: usize) -> Vec<Span> {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while self.all().len() < count {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "waited for {count} spans, have {:#?}", self.all());
        self.all()
    }
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.get(key).map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

/// A body of endless length.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
    }
}

#[tokio::test]
async fn a_request_is_one_server_span_named_by_its_route() {
    let ended = Ended::record();
    let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 4711));
    let request = request("/users/7?token=secret&page=2")
        .extension(axum::extract::ConnectInfo(peer))
        .header("host", "[::1]:3000")
        .header("user-agent", "curl/8");
    ask(app(), request).await;
    let span = ended.only();
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(span.kind, SpanKind::Server);
    assert!(!span.is_failed());
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
async fn a_made_up_method_and_an_unknown_path_make_no_names() {
    let ended = Ended::record();
    let app = ServiceBuilder::new()
        .layer(spanline::http::server())
        .service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    for method in ["BREW", "GET"] {
        let request = request("/coffee/4711").method(method).body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap();
    }
    let names: Vec<_> = ended.all().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["HTTP", "GET"]);
    assert_eq!(attribute(&ended.all()[0], "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(attribute(&ended.all()[0], "http.request.method_original").as_deref(), Some("BREW"));
}

#[tokio::test]
async fn the_callers_trace_is_continued_and_a_malformed_one_is_not() {
    let ended = Ended::record();
    ask(app(), request("/users/7").header("traceparent", PARENT)).await;
    ask(app(), request("/users/7").header("traceparent", &PARENT[..54])).await;
    let [continued, begun] = ended.all().try_into().unwrap();
    assert_eq!(continued.trace_id.to_string(), &PARENT[3..35]);
    assert_eq!(continued.parent_span_id.unwrap().to_string(), &PARENT[36..52]);
    assert!(continued.is_parent_remote);
    assert_ne!(begun.trace_id, continued.trace_id);
    assert!(begun.is_root());
}

#[tokio::test]
async fn only_the_servers_own_faults_fail_its_span() {
    let ended = Ended::record();
    assert_eq!(ask(app(), request("/fails")).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(app(), request("/refuses")).await, StatusCode::FORBIDDEN);
    let [fault, refusal] = ended.all().try_into().unwrap();
    assert!(fault.is_failed());
    assert_eq!(attribute(&fault, "error.type").as_deref(), Some("503"));
    assert!(!refusal.is_failed());
    assert_eq!(attribute(&refusal, "http.response.status_code").as_deref(), Some("403"));
}

#[tokio::test]
async fn an_excluded_path_has_no_span() {
    let ended = Ended::record();
    assert_eq!(ask(app(), request("/healthz")).await, StatusCode::OK);
    assert_eq!(ended.all().len(), 0);
    ask(app(), request("/users/7")).await;
    ended.only();
}

#[tokio::test]
async fn the_span_ends_with_the_body_and_not_with_the_head() {
    let ended = Ended::record();
    let request = request("/users/7").body(Body::empty()).unwrap();
    let response = app().oneshot(request).await.unwrap();
    assert_eq!(ended.all().len(), 0, "the body is not read yet");
    response.into_body().collect().await.unwrap();
    assert_eq!(attribute(&ended.only(), "error.type"), None);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_span_as_cancelled() {
    let ended = Ended::record();
    let mut hanging = Box::pin(app().oneshot(request("/hangs").body(Body::empty()).unwrap()));
    let mut context = TaskContext::from_waker(std::task::Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    assert_eq!(ended.all().len(), 0);
    drop(hanging);
    assert_eq!(attribute(&ended.only(), "error.type").as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_body_dropped_halfway_ends_the_span_as_cancelled() {
    let ended = Ended::record();
    let app = ServiceBuilder::new()
        .layer(spanline::http::server())
        .service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Endless)));
    let response = app.oneshot(request("/").body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(ended.all().len(), 0);
    drop(body);
    let span = ended.only();
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("cancelled"));
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("200"));
}

#[tokio::test]
async fn a_body_ends_when_its_promised_length_is_sent() {
    let ended = Ended::record();
    let app = ServiceBuilder::new().layer(spanline::http::server()).service_fn(
        async |_: Request<Body>| Response::builder().header("content-length", "4").body(Endless),
    );
    let response = app.oneshot(request("/").body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(attribute(&ended.only(), "error.type"), None);
}

#[tokio::test]
async fn a_handler_that_panics_ends_the_span_as_failed() {
    let ended = Ended::record();
    let app = ServiceBuilder::new().layer(spanline::http::server()).service_fn(
        async |request: Request<Body>| {
            assert_eq!(request.method(), "POST", "fails on purpose");
            Ok::<_, Infallible>(Response::new(Body::empty()))
        },
    );
    let mut answer = Box::pin(app.oneshot(request("/").body(Body::empty()).unwrap()));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut context = TaskContext::from_waker(std::task::Waker::noop());
        let _ = answer.as_mut().poll(&mut context);
    }));
    assert!(caught.is_err());
    let span = ended.only();
    assert!(span.is_failed());
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("panic"));
}

#[tokio::test]
async fn a_handler_sees_the_ids_of_the_span_that_is_exported() {
    let ended = Ended::record();
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
    assert_eq!(seen.lock().unwrap().clone().unwrap().span_id(), ended.only().span_id);
}

#[tokio::test]
async fn client_and_server_are_one_trace_over_a_socket() {
    let ended = Ended::record();
    let url = serve(app()).await;
    let client = ServiceBuilder::new().layer(spanline::http::client()).service(hyper_client());
    let mut request = empty(&format!("{url}/users/7?token=secret"));
    request.headers_mut().insert("traceparent", PARENT.parse().unwrap());
    let response = client.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let spans = ended.at_least(2).await;
    let of = |kind| spans.iter().find(|span| span.kind == kind).unwrap();
    let (client, server) = (of(SpanKind::Client), of(SpanKind::Server));
    assert!(server.is_child_of(client));
    assert_ne!(client.trace_id.to_string(), &PARENT[3..35], "a stale parent");
    assert_eq!(attribute(server, "error.type"), None);
    assert_eq!(client.name, "GET");
    assert_eq!(attribute(client, "url.full"), Some(format!("{url}/users/7?token=REDACTED")));
    assert_eq!(attribute(client, "server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(attribute(client, "http.response.status_code").as_deref(), Some("200"));
}

#[tokio::test]
async fn an_unsampled_trace_stays_unsampled_in_the_next_service() {
    let ended = Ended::record();
    let told = Arc::new(Mutex::new(None));
    let tells = Arc::clone(&told);
    let next = async move |headers: http::HeaderMap| {
        *tells.lock().unwrap() = headers.get("traceparent").cloned();
    };
    let url = serve(Router::new().route("/", get(next))).await;
    let calls = async move || {
        let client = ServiceBuilder::new().layer(spanline::http::client()).service(hyper_client());
        client.oneshot(empty(&url)).await.unwrap().status()
    };
    let app = Router::new().route("/", get(calls)).layer(spanline::http::server());
    let unsampled = format!("{}00", &PARENT[..53]);
    assert_eq!(ask(app, request("/").header("traceparent", unsampled)).await, StatusCode::OK);
    let told = told.lock().unwrap().clone().unwrap();
    let told = told.to_str().unwrap();
    assert_eq!(&told[..35], &PARENT[..35]);
    assert!(told.ends_with("-00"), "{told}");
    assert_eq!(ended.all().len(), 0);
}

#[tokio::test]
async fn a_request_without_an_answer_fails_the_clients_span() {
    let ended = Ended::record();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = ServiceBuilder::new().layer(spanline::http::client()).service(hyper_client());
    assert!(client.oneshot(empty(&format!("http://{closed}/"))).await.is_err());
    let span = ended.only();
    assert!(span.is_failed());
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("connect"));
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn reqwest_sends_in_a_span_of_its_own() {
    use spanline::http::SendTraced as _;

    let ended = Ended::record();
    let url = serve(app()).await;
    let client = reqwest::Client::new();
    let response = client.get(format!("{url}/refuses")).send_traced().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let brief = Duration::from_millis(1);
    assert!(client.get(format!("{url}/hangs")).timeout(brief).send_traced().await.is_err());
    let spans = ended.at_least(3).await;
    let client_failed_with = |error: &str| {
        spans.iter().any(|span| {
            span.kind == SpanKind::Client
                && span.is_failed()
                && attribute(span, "error.type").as_deref() == Some(error)
        })
    };
    assert!(client_failed_with("403"), "{spans:#?}");
    assert!(client_failed_with("timeout"), "{spans:#?}");
}

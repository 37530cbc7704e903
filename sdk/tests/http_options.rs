//! What the HTTP layers do when they are asked to, and what a handler can do with its request's span.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Sampler;
use serde_json::json;
use spanline::http::Callers;
use spanline::testing::{self, TestTelemetry};
use tower::{ServiceBuilder, ServiceExt as _};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// Answers, and reads the answer to its end.
async fn ask(app: Router, request: http::request::Builder) -> Response<String> {
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(body.to_vec()).unwrap())
}

fn root() -> http::request::Builder {
    Request::builder().uri("/")
}

/// Starts with a sampler for those who are nobody's children.
fn start_with(root: Sampler) -> TestTelemetry {
    let sampler = Sampler::ParentBased(Box::new(root));
    testing::start_with(spanline::builder("options").sampler(sampler))
}

// === where the span is ===

#[tracing::instrument]
async fn reserve() {
    tracing::info!("reserved");
}

/// A handler that speaks, and calls a function with a span.
async fn cart() -> &'static str {
    tracing::info!("asked");
    reserve().await;
    "a cart"
}

#[tokio::test]
async fn lines_and_spans_of_a_handler_belong_to_the_request_in_either_place() {
    for layer in [spanline::http::server(), spanline::http::server().context_only()] {
        let telemetry = testing::start();
        ask(Router::new().route("/", get(cart)).layer(layer), root()).await;
        let (request, function) = (telemetry.span("GET /"), telemetry.span("reserve"));
        assert!(function.is_child_of(&request));
        assert!(telemetry.line("asked").is_in(&request));
        assert!(telemetry.line("reserved").is_in(&function));
    }
}

#[tokio::test]
async fn a_handler_passes_its_span_on_to_a_task() {
    let telemetry = testing::start();
    let handler = async || {
        let seen = tracing::Span::current().context().span().span_context().clone();
        assert_eq!(&seen, Context::current().span().span_context());
        let task = async { tracing::info!("in a task") }.in_current_span();
        tokio::spawn(task).await.unwrap();
        spanline::spawn(async { tracing::info!("in another") }).await.unwrap();
        tokio::spawn(async { tracing::info!("on its own") }).await.unwrap();
        let child = tracing::info_span!(parent: None, "child");
        child.set_parent(tracing::Span::current().context()).unwrap();
        child.in_scope(|| ());
    };
    ask(Router::new().route("/", get(handler)).layer(spanline::http::server()), root()).await;
    let request = telemetry.span("GET /");
    assert!(telemetry.line("in a task").is_in(&request));
    assert!(telemetry.line("in another").is_in(&request));
    assert_eq!(telemetry.line("on its own").span_id, None);
    assert!(telemetry.span("child").is_child_of(&request));
}

#[tokio::test]
async fn spawn_keeps_the_context_that_no_tracing_span_carries() {
    let telemetry = testing::start();
    let spawned = || {
        let context = Context::current().with_baggage([KeyValue::new("tenant", "acme")]);
        let _attached = context.attach();
        spanline::spawn(async {
            tokio::task::yield_now().await;
            let baggage = Context::current().baggage().get("tenant").map(|value| value.to_string());
            tracing::info!(tenant = baggage, "in a task");
        })
    };
    let handler = async move || spawned().await.unwrap();
    let app = Router::new().route("/", get(handler));
    ask(app.layer(spanline::http::server().context_only()), root()).await;
    let line = telemetry.line("in a task");
    assert!(line.is_in(&telemetry.span("GET /")));
    assert_eq!(line["tenant"], "acme");
}

#[tokio::test]
async fn what_the_api_says_of_the_active_span_reaches_the_requests_span() {
    for layer in [spanline::http::server(), spanline::http::server().context_only()] {
        let telemetry = testing::start();
        let other = SpanContext::new(
            TraceId::from(7),
            SpanId::from(9),
            TraceFlags::SAMPLED,
            true,
            Default::default(),
        );
        let linked = other.clone();
        let handler = async move || {
            let context = Context::current();
            let span = context.span();
            span.set_attribute(KeyValue::new("tenant", "acme"));
            span.add_event("sold", vec![KeyValue::new("count", 2)]);
            span.add_link(linked, Vec::new());
            span.set_status(Status::error("no stock"));
            span.update_name("sale");
        };
        ask(Router::new().route("/", get(handler)).layer(layer), root()).await;
        let span = telemetry.span("sale");
        assert_eq!(span["tenant"], "acme");
        assert_eq!(span["http.response.status_code"], 200);
        assert_eq!(span.events[0].name, "sold");
        assert_eq!(span.links, [other]);
        assert_eq!(span.status, Status::error("no stock"));
    }
}

// === who decides ===

#[tokio::test]
async fn a_trusted_caller_decides_what_is_recorded() {
    let telemetry = start_with(Sampler::AlwaysOff);
    let app = || Router::new().route("/", get(cart)).layer(spanline::http::server());
    ask(app(), root().header("traceparent", UNSAMPLED)).await;
    ask(app(), root()).await;
    assert_eq!(telemetry.spans(), []);
    assert!(telemetry.lines().iter().all(|line| line.span_id.is_some() && !line.is_sampled));
    ask(app(), root().header("traceparent", PARENT)).await;
    assert_eq!(telemetry.span("GET /").trace_id.to_string(), &PARENT[3..35]);
}

#[tokio::test]
async fn a_caller_that_is_linked_to_decides_nothing() {
    let telemetry = start_with(Sampler::AlwaysOn);
    let layer = spanline::http::server().callers(Callers::Link);
    let app = Router::new().route("/", get(tells_baggage)).layer(layer);
    let request = root().header("traceparent", UNSAMPLED).header("baggage", "tenant=acme");
    assert_eq!(ask(app, request).await.body(), "");
    let span = telemetry.span("GET /");
    assert!(span.is_root());
    assert_ne!(span.trace_id.to_string(), &PARENT[3..35]);
    assert_eq!(span.links[0].span_id().to_string(), &PARENT[36..52]);
}

#[tokio::test]
async fn a_caller_that_is_ignored_is_not_even_linked_to() {
    for (sampler, spans) in [(Sampler::AlwaysOn, 1), (Sampler::AlwaysOff, 0)] {
        let telemetry = start_with(sampler);
        let layer = spanline::http::server().callers(Callers::Ignore);
        let app = Router::new().route("/", get(tells_baggage)).layer(layer);
        let request = root().header("traceparent", PARENT).header("baggage", "tenant=acme");
        assert_eq!(ask(app, request).await.body(), "");
        assert_eq!(telemetry.spans().len(), spans);
        assert!(telemetry.spans().iter().all(|span| span.is_root() && span.links.is_empty()));
    }
}

async fn tells_baggage() -> String {
    let tenant = Context::current().baggage().get("tenant").map(|value| value.to_string());
    tenant.unwrap_or_default()
}

#[tokio::test]
async fn baggage_of_a_trusted_caller_goes_on_to_those_that_are_called() {
    for is_context_only in [false, true] {
        let _telemetry = testing::start();
        let told = Arc::new(Mutex::new(None));
        let tells = Arc::clone(&told);
        let next = tower::service_fn(move |request: Request<()>| {
            *tells.lock().unwrap() = request.headers().get("baggage").cloned();
            async { Ok::<_, Infallible>(Response::new(())) }
        });
        let client = ServiceBuilder::new().layer(spanline::http::client()).service(next);
        let handler = async move || {
            client.oneshot(Request::new(())).await.unwrap();
            tells_baggage().await
        };
        let layer = spanline::http::server();
        let layer = if is_context_only { layer.context_only() } else { layer };
        let app = Router::new().route("/", get(handler)).layer(layer);
        assert_eq!(ask(app, root().header("baggage", "tenant=acme")).await.body(), "acme");
        assert_eq!(told.lock().unwrap().clone().unwrap(), "tenant=acme");
    }
}

// === what is recorded, and told ===

#[tokio::test]
async fn headers_are_recorded_only_when_asked_for() {
    let telemetry = testing::start();
    let layer = spanline::http::server()
        .record_request_header(HeaderName::from_static("x-tenant"))
        .record_request_header(HeaderName::from_static("x-missing"))
        .record_response_header(HeaderName::from_static("content-type"));
    let app = Router::new().route("/", get(cart)).layer(layer);
    let request = root().header("x-tenant", "a").header("x-tenant", "b").header("cookie", "secret");
    ask(app, request).await;
    let span = telemetry.span("GET /");
    assert_eq!(span["http.request.header.x-tenant"], json!(["a", "b"]));
    assert_eq!(span["http.response.header.content-type"], json!(["text/plain; charset=utf-8"]));
    let headers = span.attributes.keys().filter(|key| key.contains(".header."));
    assert_eq!(headers.count(), 2);
    assert!(!format!("{span:?}").contains("secret"));
}

#[tokio::test]
async fn the_caller_is_told_the_trace_in_the_header_that_was_named() {
    let telemetry = testing::start();
    let named = |name| {
        let layer = spanline::http::server().tell_trace_id(HeaderName::from_static(name));
        Router::new().route("/", get(cart)).layer(layer)
    };
    let response = ask(named("traceresponse"), root()).await;
    let span = telemetry.span("GET /");
    let (trace_id, span_id) = (span.trace_id, span.span_id);
    assert_eq!(response.headers()["traceresponse"], format!("00-{trace_id}-{span_id}-01"));
    let response = ask(named("x-trace-id"), root().header("traceparent", PARENT)).await;
    assert_eq!(response.headers()["x-trace-id"], PARENT[3..35]);
    let response = ask(Router::new().route("/", get(cart)), root()).await;
    assert!(!response.headers().contains_key("traceresponse"));
}

#[tokio::test]
async fn a_route_of_a_nested_router_is_named_in_full() {
    let telemetry = testing::start();
    let items = Router::new().route("/items/{id}", any(cart));
    let app = Router::new()
        .nest("/users/{user}", items)
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(spanline::http::server());
    ask(app.clone(), Request::builder().method("PUT").uri("/users/ada/items/7")).await;
    assert_eq!(telemetry.span("PUT /users/{user}/items/{id}")["url.path"], "/users/ada/items/7");
    ask(app, Request::builder().uri("/4711")).await;
    assert_eq!(telemetry.span("GET")["http.response.status_code"], 404);
}

#[tokio::test]
async fn an_answer_without_a_body_ends_its_span_with_its_head() {
    let telemetry = testing::start();
    let app = || {
        Router::new()
            .route("/", get(cart))
            .route("/empty", get(async || StatusCode::NO_CONTENT))
            .route("/same", get(async || (StatusCode::NOT_MODIFIED, "not sent")))
            .layer(spanline::http::server())
    };
    for (method, path) in [("HEAD", "/"), ("GET", "/empty"), ("GET", "/same")] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let _unread = app().oneshot(request).await.unwrap();
        let span = telemetry.span(&format!("{method} {path}"));
        assert!(span["error.type"].is_null(), "{span:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_sent_again_says_how_often_it_was() {
    let telemetry = testing::start();
    let next = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let client = ServiceBuilder::new().layer(spanline::http::client().context_only()).service(next);
    for resend in [0, 2] {
        let mut request = Request::new(());
        *request.uri_mut() = "http://shop.example/".parse().unwrap();
        request.extensions_mut().insert(spanline::http::ResendCount(resend));
        client.clone().oneshot(request).await.unwrap();
    }
    let [first, third] = telemetry.spans().try_into().unwrap();
    assert!(first["http.request.resend_count"].is_null());
    assert_eq!(third["http.request.resend_count"], 2);
    assert_eq!(third["server.port"], 80);
}

/// Says something when it is dropped.
struct GivenUp;

impl Drop for GivenUp {
    fn drop(&mut self) {
        tracing::info!("given up");
    }
}

async fn hangs() {
    let _given_up = GivenUp;
    std::future::pending().await
}

#[tokio::test]
async fn a_handler_that_is_given_up_says_so_in_its_span() {
    for layer in [spanline::http::server(), spanline::http::server().context_only()] {
        let telemetry = testing::start();
        let app = Router::new().route("/", get(hangs)).layer(layer);
        let mut answer = Box::pin(app.oneshot(Request::get("/").body(Body::empty()).unwrap()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(answer.as_mut().poll(&mut context).is_pending());
        drop(answer);
        assert!(telemetry.line("given up").is_in(&telemetry.span("GET /")));
    }
}

#[tokio::test]
async fn a_task_that_is_aborted_says_so_in_its_span() {
    let telemetry = testing::start();
    let task = tracing::info_span!("order").in_scope(|| spanline::spawn(hangs()));
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(telemetry.line("given up").is_in(&telemetry.span("order")));
}

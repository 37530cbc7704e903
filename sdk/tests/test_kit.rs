//! What the test kit promises to tests of services: all of their own lines and spans, and nobody else's.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use http_body_util::BodyExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use spanline::testing::{self, TestTelemetry, Value};
use tower::ServiceExt as _;
use tracing::Level;
use tracing::instrument::WithSubscriber as _;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tracing::instrument]
async fn reserve(sku: u64) {
    tracing::info!(sku, "reserved");
}

async fn cart() -> &'static str {
    tracing::info!("asked");
    reserve(12).await;
    tokio::spawn(async { tracing::info!("by the way") }).await.unwrap();
    "ok"
}

fn app() -> Router {
    Router::new().route("/cart/{id}", get(cart)).layer(spanline::http::server())
}

async fn ask(request: http::request::Builder) {
    let response = app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
}

/// What a failed assertion says.
fn complaint(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn a_request_through_the_http_layer_is_seen_with_its_lines_and_spans() {
    let telemetry = testing::start();
    ask(Request::get("/cart/7?coupon=secret").header("traceparent", PARENT)).await;

    let server = telemetry.span("GET /cart/{id}");
    assert_eq!(server.kind, SpanKind::Server);
    assert_eq!(server["http.route"], "/cart/{id}");
    assert_eq!(server["http.response.status_code"], 200);
    assert_eq!(server.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(server.parent_span_id.unwrap().to_string(), "b7ad6b7169203331");
    assert!(server.is_parent_remote && !server.is_failed());

    let inner = telemetry.span("reserve");
    assert!(inner.is_child_of(&server));
    assert_eq!(telemetry.children_of(&server), [telemetry.span("reserve")]);
    assert_eq!(telemetry.spans_of_trace(server.trace_id), [inner.clone(), server.clone()]);

    let reserved = telemetry.line("reserved");
    assert!(reserved.is_in(&inner) && !reserved.is_in(&server));
    assert_eq!((reserved.level, &reserved["sku"]), (Level::INFO, &Value::from(12)));
    assert_eq!(reserved.target, "test_kit");
    assert!(reserved.is_sampled);
    assert_eq!(telemetry.lines_in(&server), [telemetry.line("asked")]);
    assert_eq!(telemetry.lines_of_trace(server.trace_id).len(), 2);
    // A plain `spawn` leaves the request's span, and a test shows it.
    assert_eq!(telemetry.line("by the way").trace_id, None);
    telemetry.assert_no_line(|line| line.text.contains("secret"));
    telemetry.assert_no_span(|span| span.to_string().contains("secret"));
}

#[test]
fn tests_that_run_side_by_side_see_their_own_lines_and_spans_only() {
    const TESTS: usize = 8;
    let all_run = Barrier::new(TESTS);
    thread::scope(|scope| {
        for test in 0..TESTS {
            let all_run = &all_run;
            scope.spawn(move || {
                let telemetry = testing::start();
                all_run.wait();
                for round in 0..100 {
                    tracing::info_span!("work", round).in_scope(|| tracing::info!(test, "worked"));
                    drop(global::tracer("users").start("own"));
                }
                all_run.wait();
                let lines = telemetry.lines();
                assert_eq!(lines.len(), 100);
                assert!(lines.iter().all(|line| line["test"] == test));
                assert_eq!(telemetry.spans().len(), 200);
            });
        }
    });
}

#[test]
fn the_log_crate_and_the_opentelemetry_api_are_seen_as_well() {
    let telemetry = testing::start();
    let tracer = global::tracer("users");
    let span = tracer.start("own");
    let context = Context::current_with_span(span);
    {
        let _attached = context.clone().attach();
        log::warn!("through log");
    }
    context.span().set_attribute(KeyValue::new("tags", "a"));
    context.span().add_event("paid", vec![KeyValue::new("sum", 3.5)]);
    context.span().end();

    let span = telemetry.assert_span(|span| span["tags"] == "a");
    assert!(span.is_root());
    assert_eq!(
        (span.events[0].name.as_str(), &span.events[0].attributes["sum"]),
        ("paid", &Value::from(3.5))
    );
    let line = telemetry.line("through log");
    assert_eq!((line.level, line.target.as_str()), (Level::WARN, "test_kit"));
    assert!(line.is_in(&span));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_threads_do_is_kept_where_they_are_given_the_dispatch() {
    let telemetry = testing::start();
    let task = async {
        ask(Request::get("/cart/7")).await;
    };
    tokio::spawn(task.with_subscriber(telemetry.dispatch())).await.unwrap();
    let server = telemetry.ended("GET /cart/{id}").await;
    assert!(telemetry.line("asked").is_in(&server));
}

#[test]
fn the_settings_are_those_of_the_builder_and_nothing_is_sent_or_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let builder = spanline::builder("checkout")
        .log_filter("off,test_kit=debug")
        .log_format(spanline::LogFormat::Winston)
        .log_output(spanline::LogOutput::File(file.clone()))
        .sampler(spanline::Sampler::AlwaysOff);
    let telemetry = testing::start_with(builder);
    tracing::info_span!("work").in_scope(|| tracing::debug!("seen"));
    tracing::info!(target: "elsewhere", "not seen");

    let line = telemetry.line("seen");
    assert!(line.trace_id.is_some() && !line.is_sampled);
    assert_eq!(telemetry.lines(), [line]);
    assert!(telemetry.spans().is_empty());
    assert!(!file.exists());
}

#[test]
fn a_failed_assertion_lists_what_there_is() {
    let telemetry = testing::start();
    assert_eq!(
        complaint(|| drop(telemetry.line("hello"))),
        "no line says \"hello\"; there is no line at all"
    );
    tracing::info!(sku = 12, "hallo");
    tracing::info!(sku = 12, "hallo");
    tracing::info_span!("order", sku = 12).in_scope(|| {});
    let lines = "there are 2 lines:\n  INFO test_kit: hallo sku=12\n  INFO test_kit: hallo sku=12";
    assert_eq!(
        complaint(|| drop(telemetry.line("hello"))),
        format!("no line says \"hello\"; {lines}")
    );
    assert_eq!(
        complaint(|| drop(telemetry.line("hallo"))),
        format!("not one line says \"hallo\", but 2 do; {lines}")
    );
    assert_eq!(
        complaint(|| drop(telemetry.assert_line(|line| line["sku"] == 13))),
        format!("no line is as wanted; {lines}")
    );
    assert_eq!(
        complaint(|| telemetry.assert_no_line(|line| line["sku"] == 12)),
        "a line is as it must not be:\n  INFO test_kit: hallo sku=12"
    );
    let span = telemetry.span("order");
    let shown =
        format!("order (Internal) sku=12 trace_id={} span_id={}", span.trace_id, span.span_id);
    assert_eq!(
        complaint(|| drop(telemetry.span("items"))),
        format!("no span is called \"items\"; there is one span:\n  {shown}")
    );
    assert_eq!(
        complaint(|| telemetry.assert_no_span(|span| span.is_root())),
        format!("a span is as it must not be:\n  {shown}")
    );
}

#[test]
fn a_setting_that_cannot_be_used_is_told_at_the_start() {
    let builder = spanline::builder("checkout").log_filter("checkout=loud");
    let said = complaint(|| drop(testing::start_with(builder)));
    assert!(said.contains("RUST_LOG") && said.contains("checkout=loud"), "{said}");
}

#[test]
fn a_test_can_look_at_one_step_alone() {
    let telemetry = testing::start();
    tracing::info!("before");
    telemetry.clear();
    tracing::info!("after");
    assert_eq!(telemetry.lines().len(), 1);
    assert_eq!(telemetry.line("after").message, "after");
}

#[test]
fn after_a_test_its_thread_is_as_before() {
    let outer = testing::start();
    let inner: TestTelemetry = testing::start();
    tracing::info!("inside");
    assert_eq!(inner.lines().len(), 1);
    drop(inner);
    tracing::info!("outside");
    assert_eq!(outer.lines(), [outer.line("outside")]);
}

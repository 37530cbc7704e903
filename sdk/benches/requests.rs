//! What one request costs: `cargo bench -p spanline --bench requests`.
//!
//! A request through a router and its answer, as `axum::serve` has it, body included; what the layer adds to
//! it. Metrics are off but in the row that says so, and spans wait in a queue that is never full.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking, as a test does")]

mod harness;

use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use harness::{Bench, Operation, Subject};
use http_body_util::BodyExt as _;
use spanline::LogOutput;
use spanline::http::{ServerLayer, server};
use tower::layer::util::Identity;
use tower::{Service as _, ServiceExt};

const BARE: &str = "bare";

const SUBJECTS: &[Subject] = &[
    Subject::new(BARE, bare),
    Subject::new("a layer that does nothing", nothing),
    Subject::new("default", default).with(NO_METRICS).times(2.0, BARE),
    Subject::new("default, metrics", default).times(2.1, BARE),
    Subject::new("default, one line", default_line).with(NO_METRICS).times(2.15, BARE),
    Subject::new("context only", context_only).with(NO_METRICS).times(1.5, BARE),
    Subject::new("context only, metrics", context_only).times(1.6, BARE),
    Subject::new("context only, one line", context_only_line).with(NO_METRICS).times(1.65, BARE),
    Subject::new("context only, unsampled", unsampled).with(NO_METRICS).times(1.3, BARE),
];

const NO_METRICS: &[(&str, &str)] = &[("OTEL_METRICS_EXPORTER", "none")];

fn main() -> ExitCode {
    // Fewer than the queue holds.
    harness::main(&Bench { subjects: SUBJECTS, most_operations: 15_000 })
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";

fn routes() -> Router {
    Router::new().route("/items/{id}", get(|| async { "an item" }))
}

fn routes_with_a_line() -> Router {
    let handler = || async {
        tracing::info!(sku = 12, user = "ada", "added item");
        "an item"
    };
    Router::new().route("/items/{id}", get(handler))
}

fn bare() -> Operation {
    ask(routes(), SAMPLED)
}

fn nothing() -> Operation {
    ask(routes().layer(Identity::new()), SAMPLED)
}

fn default() -> Operation {
    traced(routes(), server(), SAMPLED)
}

fn default_line() -> Operation {
    traced(routes_with_a_line(), server(), SAMPLED)
}

fn context_only() -> Operation {
    traced(routes(), server().context_only(), SAMPLED)
}

fn context_only_line() -> Operation {
    traced(routes_with_a_line(), server().context_only(), SAMPLED)
}

fn unsampled() -> Operation {
    traced(routes(), server().context_only(), UNSAMPLED)
}

fn traced(routes: Router, layer: ServerLayer, traceparent: &'static str) -> Operation {
    let nobody = "http://127.0.0.1:9";
    let builder = spanline::builder("bench").log_output(LogOutput::Discard).otlp_endpoint(nobody);
    // It runs until the process ends.
    std::mem::forget(builder.init());
    ask(routes.layer(layer), traceparent)
}

/// One request and its answer, in this thread.
fn ask(app: Router, traceparent: &'static str) -> Operation {
    let mut app = app.with_state::<()>(());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Box::new(move || runtime.block_on(answer(&mut app, traceparent)))
}

async fn answer(app: &mut Router, traceparent: &'static str) {
    let request = Request::get("/items/12")
        .header("host", "shop.example")
        .header("user-agent", "bench")
        .header("traceparent", traceparent)
        .body(Body::empty())
        .unwrap();
    let app = ServiceExt::<Request>::ready(app).await.unwrap();
    let response: Response = app.call(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "an item");
}

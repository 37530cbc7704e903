//! What one request costs: `cargo bench -p spanline --bench requests`.
//!
//! A request through a router and its answer, as `axum::serve` has it, body included; what the layer adds to
//! it, metrics included. Spans wait in a queue that is never full.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking, as a test does")]

mod harness;

use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use harness::{Bench, Operation, Subject};
use http_body_util::BodyExt as _;
use spanline::LogOutput;
use spanline::http::{ServerLayer, server};
use tower::layer::util::Identity;
use tower::{Service as _, ServiceExt};

const BARE: &str = "bare";
const VALID: &str = "context only";

const SUBJECTS: &[Subject] = &[
    Subject::new(BARE, bare),
    Subject::new("a layer that does nothing", nothing),
    Subject::new("default", default).times(2.1, BARE),
    Subject::new("default, one line", default_line).times(2.25, BARE),
    Subject::new(VALID, context_only).times(1.6, BARE),
    Subject::new("context only, one line", context_only_line).times(1.75, BARE),
    Subject::new("context only, unsampled", unsampled).times(1.3, BARE),
    Subject::new("traceparent of 64 KiB", long_parent).times(2.0, VALID),
    Subject::new("ten traceparents", many_parents).times(2.0, VALID),
    Subject::new("tracestate of 8 KiB that breaks at its end", long_state).times(2.0, VALID),
    Subject::new("tracestate of 512 bytes that breaks at its end", short_state).times(2.0, VALID),
];

fn main() -> ExitCode {
    // Fewer than the queue holds.
    harness::main(&Bench { subjects: SUBJECTS, most_operations: 15_000 })
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const SAMPLED_ONLY: Headers = &[("traceparent", SAMPLED)];
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";

type Headers = &'static [(&'static str, &'static str)];
/// The same, made once: a header that is checked for each request would be the dearest part of it.
type Values = Vec<(HeaderName, HeaderValue)>;

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
    ask(routes(), SAMPLED_ONLY)
}

fn nothing() -> Operation {
    ask(routes().layer(Identity::new()), SAMPLED_ONLY)
}

fn default() -> Operation {
    traced(routes(), server(), SAMPLED_ONLY)
}

fn default_line() -> Operation {
    traced(routes_with_a_line(), server(), SAMPLED_ONLY)
}

fn context_only() -> Operation {
    traced(routes(), server().context_only(), SAMPLED_ONLY)
}

fn context_only_line() -> Operation {
    traced(routes_with_a_line(), server().context_only(), SAMPLED_ONLY)
}

fn unsampled() -> Operation {
    traced(routes(), server().context_only(), &[("traceparent", UNSAMPLED)])
}

/// A header that is no use, and is no dearer for it.
fn hostile(name: &'static str, value: String, times: usize) -> Operation {
    let mut headers = vec![(name, &*value.leak()); times];
    if name != "traceparent" {
        headers.push(("traceparent", SAMPLED));
    }
    traced(routes(), server().context_only(), headers.leak())
}

fn long_parent() -> Operation {
    hostile("traceparent", "0".repeat(64 * 1024), 1)
}

fn many_parents() -> Operation {
    hostile("traceparent", SAMPLED.to_owned(), 10)
}

fn long_state() -> Operation {
    hostile("tracestate", broken_state(8 * 1024 - 1), 1)
}

fn short_state() -> Operation {
    hostile("tracestate", broken_state(512), 1)
}

/// As many members as there may be, the last of which has no value.
fn broken_state(bytes: usize) -> String {
    let length = bytes / 32;
    let members = (0..31).map(|index| format!("{index:02}={},", "v".repeat(length - 4)));
    let mut state: String = members.collect();
    state.push_str(&"k".repeat(bytes - state.len()));
    state
}

fn traced(routes: Router, layer: ServerLayer, headers: Headers) -> Operation {
    let nobody = "http://127.0.0.1:9";
    let builder = spanline::builder("bench").log_output(LogOutput::Discard).otlp_endpoint(nobody);
    // It runs until the process ends.
    std::mem::forget(builder.init());
    ask(routes.layer(layer), headers)
}

/// One request and its answer, in this thread.
fn ask(app: Router, headers: Headers) -> Operation {
    let mut app = app.with_state::<()>(());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let headers: Values = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    Box::new(move || runtime.block_on(answer(&mut app, &headers)))
}

async fn answer(app: &mut Router, headers: &Values) {
    let mut request = Request::get("/items/12")
        .header("host", "shop.example")
        .header("user-agent", "bench")
        .body(Body::empty())
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().append(name, value.clone());
    }
    let app = ServiceExt::<Request>::ready(app).await.unwrap();
    let response: Response = app.call(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "an item");
}

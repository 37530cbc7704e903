//! Requests: one answered by an axum router, handed over as `axum::serve` does it, or served under load.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::layer::util::Identity;
use tower::{Service, ServiceExt};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::lines::{Init, init_tracing_layer};
use crate::serve::RECEIVER;
use crate::work::{Area, Goal, MAX_SPANS, NOBODY, Operation, Subject, Way, Work};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00";

/// Everybody who answers a request.
pub fn area() -> Area {
    // A macro, since a way is a plain function, and no closure that knows its router.
    macro_rules! both {
        ($name:literal, $router:path) => {
            Subject {
                name: $name,
                ways: vec![Way::Operation(|| in_process($router(), SAMPLED)), Way::Server($router)],
            }
        };
    }
    Area {
        max_operations: MAX_SPANS,
        counts_instructions: true,
        subjects: vec![
            both!("bare axum", bare),
            Subject::operation("bare axum, a layer that does nothing", || {
                in_process(bare().layer(Identity::new()), SAMPLED)
            }),
            both!("spanline, default", spanline),
            both!("spanline, context only", spanline_context_only),
            both!("spanline, default, one line", spanline_line),
            both!("spanline, context only, one line", spanline_context_only_line),
            Subject::operation("spanline, context only, unsampled", || {
                in_process(spanline_context_only(), UNSAMPLED)
            }),
            Subject {
                name: "spanline, default, delivered",
                ways: vec![Way::Server(spanline_delivered)],
            },
            both!("axum-tracing-opentelemetry", axum_tracing_opentelemetry),
            both!("axum- and init-tracing-opentelemetry", axum_tracing_opentelemetry_line),
            both!("opentelemetry-instrumentation-tower", instrumentation_tower),
        ],
        works: vec![
            Work {
                name: "axum request with a server span",
                ours: vec!["spanline, default", "spanline, default, delivered"],
                peers: PEERS.to_vec(),
                baseline: "bare axum",
                goals: vec![
                    Goal::InstructionRatio(2.0),
                    Goal::MoreAllocations(7.0, "bare axum"),
                    Goal::LoadRatio(1.45),
                ],
            },
            Work {
                name: "axum request with a server span in the context only",
                ours: vec!["spanline, context only"],
                peers: PEERS.to_vec(),
                baseline: "bare axum",
                goals: vec![
                    Goal::InstructionRatio(1.5),
                    Goal::MoreAllocations(5.0, "bare axum"),
                    Goal::LoadRatio(1.18),
                ],
            },
            Work {
                name: "axum request with a server span and one correlated line",
                ours: vec!["spanline, default, one line"],
                peers: PEERS_WITH_A_LINE.to_vec(),
                baseline: "bare axum",
                goals: vec![Goal::InstructionRatio(2.15), Goal::LoadRatio(1.60)],
            },
            Work {
                name: "axum request with a server span in the context only and one correlated line",
                ours: vec!["spanline, context only, one line"],
                peers: PEERS_WITH_A_LINE.to_vec(),
                baseline: "bare axum",
                goals: vec![Goal::InstructionRatio(1.65), Goal::LoadRatio(1.33)],
            },
            Work {
                name: "axum request that is not sampled, the span in the context only",
                ours: vec!["spanline, context only, unsampled"],
                peers: vec!["bare axum", "bare axum, a layer that does nothing"],
                baseline: "bare axum",
                goals: vec![
                    Goal::InstructionRatio(1.3),
                    Goal::MoreAllocations(1.0, "bare axum, a layer that does nothing"),
                ],
            },
        ],
    }
}

const PEERS: [&str; 3] =
    ["bare axum", "axum-tracing-opentelemetry", "opentelemetry-instrumentation-tower"];

const PEERS_WITH_A_LINE: [&str; 2] = ["bare axum", "axum- and init-tracing-opentelemetry"];

/// The route that every subject serves.
fn routes() -> Router {
    Router::new().route("/items/{id}", get(|| async { "an item" }))
}

/// The same with a line in its handler.
fn routes_with_a_line() -> Router {
    Router::new().route(
        "/items/{id}",
        get(|| async {
            tracing::info!(sku = 12, user = "ada", "added item");
            "an item"
        }),
    )
}

/// No instrumentation at all.
fn bare() -> Router {
    routes()
}

/// axum-tracing-opentelemetry over tracing-opentelemetry.
fn axum_tracing_opentelemetry() -> Router {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("peers"));
    Registry::default().with(spans).init();
    routes().layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default())
}

/// The same, and lines with ids by init-tracing-opentelemetry.
fn axum_tracing_opentelemetry_line() -> Router {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("peers"));
    Registry::default().with(spans).with(init_tracing_layer(Init::with_full_format)).init();
    let layer = axum_tracing_opentelemetry::middleware::OtelAxumLayer::default();
    routes_with_a_line().layer(layer)
}

/// opentelemetry-instrumentation-tower, which speaks the OpenTelemetry API itself.
fn instrumentation_tower() -> Router {
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(SdkTracerProvider::builder().build());
    routes().layer(opentelemetry_instrumentation_tower::http::server::Layer::new())
}

/// Ours, its spans kept in the queue until that is full.
fn start(endpoint: &str) {
    let output = ::spanline::LogOutput::File("/dev/null".into());
    let builder = ::spanline::builder("peers").log_output(output);
    std::mem::forget(builder.otlp_endpoint(endpoint).init());
}

fn spanline() -> Router {
    start(NOBODY);
    routes().layer(::spanline::http::server())
}

fn spanline_context_only() -> Router {
    start(NOBODY);
    routes().layer(::spanline::http::server().context_only())
}

fn spanline_line() -> Router {
    start(NOBODY);
    routes_with_a_line().layer(::spanline::http::server())
}

fn spanline_context_only_line() -> Router {
    start(NOBODY);
    routes_with_a_line().layer(::spanline::http::server().context_only())
}

/// What no peer here does: the spans are encoded, and sent to somebody who takes them.
fn spanline_delivered() -> Router {
    start(&std::env::var(RECEIVER).unwrap_or_default());
    routes().layer(::spanline::http::server())
}

/// One request and its answer, in this thread.
fn in_process(app: Router, traceparent: &'static str) -> Operation {
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime to run a request on: {error}"),
    };
    let mut app = app.with_state::<()>(());
    Box::new(move || runtime.block_on(answer(&mut app, traceparent)))
}

async fn answer(app: &mut Router, traceparent: &'static str) {
    let request = Request::get("/items/12")
        .header("host", "shop.example")
        .header("user-agent", "peers")
        .header("traceparent", traceparent)
        .body(Body::empty())
        .unwrap_or_default();
    let Ok(app): Result<&mut Router, Infallible> = ServiceExt::<Request>::ready(app).await;
    let Ok(response): Result<Response, Infallible> = app.call(request).await;
    drop(response);
}

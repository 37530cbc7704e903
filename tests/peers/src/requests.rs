//! The work of one request to an axum router, as `axum::serve` would hand it over.

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
use tower::{Service, ServiceExt};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::work::Operation;

/// The routes that every subject serves.
pub fn routes() -> Router {
    Router::new().route("/items/{id}", get(|| async { "an item" }))
}

/// No instrumentation at all.
pub fn bare() -> Router {
    routes()
}

/// axum-tracing-opentelemetry over tracing-opentelemetry.
pub fn axum_tracing_opentelemetry() -> Router {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("peers"));
    Registry::default().with(spans).init();
    routes().layer(axum_tracing_opentelemetry::middleware::OtelAxumLayer::default())
}

/// opentelemetry-instrumentation-tower, which speaks the OpenTelemetry API itself.
pub fn instrumentation_tower() -> Router {
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(SdkTracerProvider::builder().build());
    routes().layer(opentelemetry_instrumentation_tower::http::server::Layer::new())
}

/// Ours: the server layer, its span exported to nobody.
pub fn spanline() -> Router {
    let output = ::spanline::LogOutput::File("/dev/null".into());
    let builder = ::spanline::builder("peers").log_output(output);
    std::mem::forget(builder.otlp_endpoint("http://127.0.0.1:9").init());
    routes().layer(::spanline::http::server())
}

/// One request and its answer, in this thread.
pub fn in_process(app: Router) -> Operation {
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime to run a request on: {error}"),
    };
    let mut app = app.with_state::<()>(());
    Box::new(move || runtime.block_on(answer(&mut app)))
}

async fn answer(app: &mut Router) {
    let request = Request::get("/items/12")
        .header("host", "shop.example")
        .header("user-agent", "peers")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01")
        .body(Body::empty())
        .unwrap_or_default();
    let Ok(app): Result<&mut Router, Infallible> = ServiceExt::<Request>::ready(app).await;
    let Ok(response): Result<Response, Infallible> = app.call(request).await;
    drop(response);
}

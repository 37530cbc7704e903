//! The work of one span: opened with two fields, closed, and handed to whatever takes ended spans.

use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanProcessor};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::work::Operation;

/// Takes every ended span and throws it away.
#[derive(Debug)]
struct Discard;

impl SpanProcessor for Discard {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}
    fn on_end(&self, _: SpanData) {}
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn tracer() -> SdkTracer {
    SdkTracerProvider::builder().with_span_processor(Discard).build().tracer("peers")
}

fn api_span(tracer: &impl opentelemetry::trace::Tracer) -> impl opentelemetry::trace::Span {
    let fields = [KeyValue::new("sku", 12), KeyValue::new("user", "ada")];
    tracer.span_builder("work").with_attributes(fields).start(tracer)
}

/// The bare OpenTelemetry API.
pub fn api() -> Operation {
    let tracer = tracer();
    Box::new(move || api_span(&tracer).end())
}

/// The bare API, with the span made current.
pub fn api_current() -> Operation {
    let tracer = tracer();
    Box::new(move || {
        let fields = [KeyValue::new("sku", 12), KeyValue::new("user", "ada")];
        let span = tracer.span_builder("work").with_attributes(fields).start(&tracer);
        let _current = Context::current_with_span(span).attach();
    })
}

/// A `tracing` span through tracing-opentelemetry as it ships.
pub fn tracing_as_shipped() -> Operation {
    Registry::default().with(tracing_opentelemetry::layer().with_tracer(tracer())).init();
    tracing_span()
}

/// Ours: a `tracing` span, exported to nobody, so that its queue fills and then drops.
pub fn spanline_tracing() -> Operation {
    std::mem::forget(start_spanline());
    tracing_span()
}

/// Ours: an OpenTelemetry API span through the global provider and our queue.
pub fn spanline_api() -> Operation {
    std::mem::forget(start_spanline());
    let tracer = opentelemetry::global::tracer("peers");
    Box::new(move || api_span(&tracer).end())
}

fn start_spanline() -> spanline::Telemetry {
    let output = spanline::LogOutput::File("/dev/null".into());
    spanline::builder("peers").log_output(output).otlp_endpoint("http://127.0.0.1:9").init()
}

/// A `tracing` span with two fields, entered and closed.
pub fn tracing_span() -> Operation {
    Box::new(|| drop(tracing::info_span!("work", sku = 12, user = "ada").entered()))
}

//! What one span costs, from open to queued: `cargo bench -p spanline --bench spans`.
//!
//! The receiver is not there: spans wait in the queue, which is never full.

mod harness;

use std::process::ExitCode;

use harness::{Bench, Operation, Subject};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanProcessor};
use spanline::{Builder, LogOutput};

const BARE: &str = "OpenTelemetry API";
const CURRENT: &str = "OpenTelemetry API, made current";
const TRACING: &str = "tracing span";

const SUBJECTS: &[Subject] = &[
    Subject::new(BARE, bare),
    Subject::new(CURRENT, made_current),
    Subject::new("API span", api).times(2.0, BARE),
    Subject::new(TRACING, tracing_span).times(2.7, CURRENT),
    Subject::new("tracing span, unsampled parent", unsampled).times(0.6, TRACING),
    Subject::new("the same, skipped", skipped).times(0.6, TRACING),
];

fn main() -> ExitCode {
    // Fewer than the queue holds.
    harness::main(&Bench { subjects: SUBJECTS, most_operations: 15_000 })
}

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

fn start<T: opentelemetry::trace::Tracer>(tracer: &T) -> T::Span {
    let fields = [KeyValue::new("sku", 12), KeyValue::new("user", "ada")];
    tracer.span_builder("work").with_attributes(fields).start(tracer)
}

/// OpenTelemetry's own span.
fn bare() -> Operation {
    let provider = SdkTracerProvider::builder().with_span_processor(Discard).build();
    let tracer = provider.tracer("bench");
    Box::new(move || start(&tracer).end())
}

fn made_current() -> Operation {
    let provider = SdkTracerProvider::builder().with_span_processor(Discard).build();
    let tracer = provider.tracer("bench");
    Box::new(move || drop(Context::current_with_span(start(&tracer)).attach()))
}

fn builder() -> Builder {
    let nobody = "http://127.0.0.1:9";
    spanline::builder("bench").log_output(LogOutput::Discard).otlp_endpoint(nobody)
}

/// Ours, by OpenTelemetry's API.
fn api() -> Operation {
    // It runs until the process ends.
    std::mem::forget(builder().init());
    let tracer = opentelemetry::global::tracer("bench");
    Box::new(move || start(&tracer).end())
}

fn tracing_span() -> Operation {
    work(builder())
}

/// A `tracing` span, entered and closed.
fn work(builder: Builder) -> Operation {
    std::mem::forget(builder.init());
    Box::new(|| drop(tracing::info_span!("work", sku = 12, user = "ada").entered()))
}

/// Under a caller's span that is not sampled.
fn under_unsampled(mut operation: Operation) -> Operation {
    let (trace_id, span_id) = (TraceId::from_bytes([1; 16]), SpanId::from_bytes([1; 8]));
    let (flags, state) = (TraceFlags::default(), TraceState::default());
    let caller = SpanContext::new(trace_id, span_id, flags, true, state);
    let attached = Context::new().with_remote_span_context(caller).attach();
    Box::new(move || {
        let _keep = &attached;
        operation();
    })
}

fn unsampled() -> Operation {
    under_unsampled(work(builder()))
}

fn skipped() -> Operation {
    under_unsampled(work(builder().skip_unsampled_spans(true)))
}

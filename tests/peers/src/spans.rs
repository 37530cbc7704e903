//! Spans: opened with two fields, closed, and handed to whatever takes ended spans.

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanProcessor};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::work::{Area, Goal, MAX_SPANS, NOBODY, Operation, Subject, Work};

/// Everybody who makes a span.
pub fn area() -> Area {
    Area {
        max_operations: MAX_SPANS,
        counts_instructions: true,
        subjects: vec![
            Subject::operation("spanline API span, own queue", spanline_api),
            Subject::operation("spanline tracing span, own queue", spanline_tracing),
            Subject::operation("spanline tracing span, unsampled parent", spanline_unsampled),
            Subject::operation(
                "spanline, skip_unsampled_spans, unsampled parent",
                spanline_skipped,
            ),
            Subject::operation("bare OpenTelemetry API", api),
            Subject::operation("OpenTelemetry API, made current", api_current),
            Subject::operation("OpenTelemetry API, made current, unsampled parent", api_unsampled),
            Subject::operation("tracing-opentelemetry as shipped", tracing_as_shipped),
            Subject::operation("tracing-opentelemetry, unsampled parent", tracing_unsampled),
        ],
        works: vec![
            Work {
                name: "OpenTelemetry API span, 2 fields, from open to queued",
                ours: vec!["spanline API span, own queue"],
                peers: vec!["bare OpenTelemetry API"],
                baseline: "bare OpenTelemetry API",
                goals: vec![Goal::InstructionRatio(2.0)],
            },
            Work {
                name: "tracing span, 2 fields, from open to queued",
                ours: vec!["spanline tracing span, own queue"],
                peers: vec!["OpenTelemetry API, made current", "tracing-opentelemetry as shipped"],
                baseline: "OpenTelemetry API, made current",
                goals: vec![Goal::InstructionRatio(2.7)],
            },
            Work {
                name: "tracing span, 2 fields, under an unsampled parent",
                ours: vec!["spanline tracing span, unsampled parent"],
                peers: vec![
                    "spanline tracing span, own queue",
                    "OpenTelemetry API, made current",
                    "OpenTelemetry API, made current, unsampled parent",
                    "tracing-opentelemetry, unsampled parent",
                ],
                baseline: "spanline tracing span, own queue",
                goals: vec![Goal::InstructionRatio(0.6)],
            },
            Work {
                name: "the same with the option skip_unsampled_spans",
                ours: vec!["spanline, skip_unsampled_spans, unsampled parent"],
                peers: vec!["spanline tracing span, own queue"],
                baseline: "spanline tracing span, own queue",
                goals: vec![Goal::InstructionRatio(0.6)],
            },
        ],
    }
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

fn tracer() -> SdkTracer {
    SdkTracerProvider::builder().with_span_processor(Discard).build().tracer("peers")
}

fn api_span(tracer: &impl opentelemetry::trace::Tracer) -> impl opentelemetry::trace::Span {
    let fields = [KeyValue::new("sku", 12), KeyValue::new("user", "ada")];
    tracer.span_builder("work").with_attributes(fields).start(tracer)
}

/// The bare OpenTelemetry API.
fn api() -> Operation {
    let tracer = tracer();
    Box::new(move || api_span(&tracer).end())
}

/// The bare API, with the span made current.
fn api_current() -> Operation {
    let tracer = tracer();
    Box::new(move || {
        let fields = [KeyValue::new("sku", 12), KeyValue::new("user", "ada")];
        let span = tracer.span_builder("work").with_attributes(fields).start(&tracer);
        let _current = Context::current_with_span(span).attach();
    })
}

/// A `tracing` span through tracing-opentelemetry as it ships.
fn tracing_as_shipped() -> Operation {
    Registry::default().with(tracing_opentelemetry::layer().with_tracer(tracer())).init();
    tracing_span()
}

/// Under a caller's span that is not sampled.
fn under_unsampled(mut operation: Operation) -> Operation {
    let ids = SpanContext::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([1; 8]),
        TraceFlags::default(),
        true,
        TraceState::default(),
    );
    let parent = Context::new().with_remote_span_context(ids);
    let attached = parent.attach();
    Box::new(move || {
        let _keep = &attached;
        operation();
    })
}

fn api_unsampled() -> Operation {
    under_unsampled(api_current())
}

fn tracing_unsampled() -> Operation {
    under_unsampled(tracing_as_shipped())
}

fn spanline_unsampled() -> Operation {
    under_unsampled(spanline_tracing())
}

/// Ours: a `tracing` span, kept in its queue.
fn spanline_tracing() -> Operation {
    std::mem::forget(start_spanline());
    tracing_span()
}

fn spanline_skipped() -> Operation {
    std::mem::forget(settings().skip_unsampled_spans(true).init());
    under_unsampled(tracing_span())
}

/// Ours: an OpenTelemetry API span through the global provider and our queue.
fn spanline_api() -> Operation {
    std::mem::forget(start_spanline());
    let tracer = opentelemetry::global::tracer("peers");
    Box::new(move || api_span(&tracer).end())
}

fn start_spanline() -> spanline::Telemetry {
    settings().init()
}

fn settings() -> spanline::Builder {
    let output = spanline::LogOutput::File("/dev/null".into());
    spanline::builder("peers").log_output(output).otlp_endpoint(NOBODY)
}

/// A `tracing` span with two fields, entered and closed.
fn tracing_span() -> Operation {
    Box::new(|| drop(tracing::info_span!("work", sku = 12, user = "ada").entered()))
}

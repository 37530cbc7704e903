//! What an observation and an exposition cost: `cargo bench -p spanline --bench metrics`.
//!
//! Beside prometheus-client bare. A histogram has 14 bounds, hence 15 buckets; an exposition is of 1,000 of them,
//! each bucket with an exemplar. What threads cost each other follows below the table.

mod contention;
mod harness;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::SystemTime;

use harness::{Bench, Operation, Subject};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use spanline::metrics::{Exemplar, Histogram, Registry};
use spanline::{LogOutput, Telemetry};

const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const HISTOGRAMS: usize = 1_000;

const SUBJECTS: &[Subject] = &[
    Subject::new("observe, no span", bare),
    Subject::new("observe, ids and time at hand", at_hand).at_most(150.0),
    Subject::new("observe in a sampled span", in_span),
    Subject::new("count in a sampled span", count),
    Subject::new("prometheus-client, no exemplar", theirs_bare),
    Subject::new("prometheus-client, String labels as exemplar", theirs),
    Subject::new("exposition of ours", exposition),
    Subject::new("exposition of prometheus-client's, by ours", exposition_of_theirs),
    Subject::new("exposition of prometheus-client's, by its own", exposition_by_theirs),
];

fn main() -> ExitCode {
    let done = harness::main(&Bench { subjects: SUBJECTS, most_operations: u32::MAX });
    if std::env::args().any(|argument| argument == "--bench") {
        contention::print();
    }
    done
}

fn telemetry() -> Telemetry {
    let builder = spanline::builder("bench").log_output(LogOutput::Discard);
    builder.metrics_addr(([127, 0, 0, 1], 0).into()).otlp_endpoint("http://127.0.0.1:9").init()
}

fn histogram(registry: &Registry) -> Histogram {
    registry
        .histogram("latency_seconds", "How long it took", BOUNDS)
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Values for every bucket, in turn.
fn values() -> impl FnMut() -> f64 {
    let mut number = 0;
    move || {
        number += 1;
        BOUNDS.get(number % 15).copied().unwrap_or(20.0)
    }
}

/// Keeps what must live until the process ends.
fn keep<T>(kept: T) {
    std::mem::forget(kept);
}

fn bare() -> Operation {
    let (telemetry, mut value) = (telemetry(), values());
    let histogram = histogram(telemetry.registry());
    keep(telemetry);
    Box::new(move || histogram.observe(value()))
}

fn in_a_span() -> opentelemetry::Context {
    let span = opentelemetry::global::tracer("bench").start("request");
    assert!(span.span_context().is_sampled());
    opentelemetry::Context::new().with_span(span)
}

fn exemplar() -> Exemplar {
    let span = SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c),
        SpanId::from(0x00f0_67aa_0ba9_02b7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let _attached = opentelemetry::Context::new().with_remote_span_context(span).attach();
    Exemplar::current().unwrap_or_else(|| panic!("a sampled span is an exemplar"))
}

fn at_hand() -> Operation {
    let (telemetry, mut value) = (telemetry(), values());
    let histogram = histogram(telemetry.registry());
    keep(telemetry);
    let exemplar = exemplar();
    Box::new(move || histogram.observe_with(value(), black_box(exemplar)))
}

fn in_span() -> Operation {
    let (telemetry, mut value) = (telemetry(), values());
    let histogram = histogram(telemetry.registry());
    keep(telemetry);
    keep(in_a_span().attach());
    Box::new(move || histogram.observe(value()))
}

fn count() -> Operation {
    let telemetry = telemetry();
    let counter =
        telemetry.registry().counter("orders", "Orders").unwrap_or_else(|e| panic!("{e}"));
    keep(telemetry);
    keep(in_a_span().attach());
    Box::new(move || counter.inc())
}

fn theirs_bare() -> Operation {
    let mut value = values();
    let histogram = prometheus_client::metrics::histogram::Histogram::new(BOUNDS);
    Box::new(move || histogram.observe(value()))
}

type Ids = [(&'static str, String); 2];

fn ids(span: &SpanContext) -> Ids {
    [("trace_id", span.trace_id().to_string()), ("span_id", span.span_id().to_string())]
}

fn theirs() -> Operation {
    let mut value = values();
    let histogram = HistogramWithExemplars::<Ids>::new(BOUNDS.into_iter());
    let span = SpanContext::empty_context();
    Box::new(move || histogram.observe(value(), Some(ids(&span)), Some(SystemTime::now())))
}

fn exposition() -> Operation {
    let registry = registry_of_histograms(exemplar());
    Box::new(move || drop(black_box(registry.to_openmetrics())))
}

fn registry_of_histograms(exemplar: Exemplar) -> Registry {
    let registry = Registry::default();
    for number in 0..HISTOGRAMS {
        let name = format!("latency_{number}_seconds");
        let histogram = registry.histogram(&name, "Help", BOUNDS).unwrap_or_else(|e| panic!("{e}"));
        let mut value = values();
        (0..15).for_each(|_| histogram.observe_with(value(), exemplar));
    }
    registry
}

fn their_histogram() -> HistogramWithExemplars<Ids> {
    let histogram = HistogramWithExemplars::<Ids>::new(BOUNDS.into_iter());
    let (mut value, span) = (values(), SpanContext::empty_context());
    (0..15).for_each(|_| histogram.observe(value(), Some(ids(&span)), Some(SystemTime::now())));
    histogram
}

fn exposition_of_theirs() -> Operation {
    let registry = Registry::default();
    for number in 0..HISTOGRAMS {
        let name = format!("latency_{number}_seconds");
        registry.register(&name, "Help", their_histogram()).unwrap_or_else(|e| panic!("{e}"));
    }
    Box::new(move || drop(black_box(registry.to_openmetrics())))
}

fn exposition_by_theirs() -> Operation {
    let mut registry = prometheus_client::registry::Registry::default();
    for number in 0..HISTOGRAMS {
        registry.register(format!("latency_{number}_seconds"), "Help", their_histogram());
    }
    Box::new(move || {
        let mut text = String::new();
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        drop(black_box(text));
    })
}

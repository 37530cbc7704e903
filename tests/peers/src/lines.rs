//! Log lines: an event with two fields inside a span, to a sink that throws them away.

use std::io;

pub use init_tracing_opentelemetry::TracingConfig as Init;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use spanline::{LogFormat, LogOutput};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::work::{Area, Goal, NOBODY, Operation, Subject, Work};

/// Everybody who prints a line.
pub fn area() -> Area {
    Area {
        max_operations: u32::MAX,
        counts_instructions: true,
        subjects: vec![
            Subject::operation("spanline text", || spanline(LogFormat::Text, LogOutput::Discard)),
            Subject::operation("spanline json", || spanline(LogFormat::Json, LogOutput::Discard)),
            Subject::operation("spanline text, real writer", || {
                spanline(LogFormat::Text, nowhere())
            }),
            Subject::operation("spanline json, real writer", || {
                spanline(LogFormat::Json, nowhere())
            }),
            Subject::operation("fmt", fmt),
            Subject::operation("fmt, RUST_LOG", fmt_filtered),
            Subject::operation("fmt json", fmt_json),
            Subject::operation("fmt json, RUST_LOG", fmt_json_filtered),
            Subject::operation("fmt + Context::current ids", fmt_with_context_ids),
            Subject::operation(
                "fmt + Context::current ids, RUST_LOG",
                fmt_with_context_ids_filtered,
            ),
            Subject::operation("json-subscriber", json_subscriber),
            Subject::operation("init-tracing-opentelemetry", || {
                init_tracing(Init::with_full_format)
            }),
            Subject::operation("init-tracing-opentelemetry json", || {
                init_tracing(Init::with_json_format)
            }),
            Subject::threads(
                "two: spanline text",
                || start(LogFormat::Text, LogOutput::Discard),
                inside_a_span,
            ),
            Subject::threads(
                "two: spanline text, real writer",
                || start(LogFormat::Text, nowhere()),
                inside_a_span,
            ),
            Subject::threads("two: fmt", start_fmt, inside_a_span),
        ],
        works: vec![
            Work {
                name: "text line, ids and 2 fields, to a sink",
                ours: vec!["spanline text", "spanline text, real writer"],
                peers: vec!["fmt", "fmt + Context::current ids", "init-tracing-opentelemetry"],
                baseline: "fmt",
                goals: vec![Goal::TimeRatio(0.20)],
            },
            Work {
                name: "the same with a RUST_LOG filter on",
                ours: vec!["spanline text", "spanline text, real writer"],
                peers: vec!["fmt, RUST_LOG", "fmt + Context::current ids, RUST_LOG"],
                baseline: "fmt, RUST_LOG",
                goals: vec![
                    Goal::Instructions(2_000.0),
                    Goal::Allocations(0.0),
                    Goal::TimeRatio(0.30),
                ],
            },
            Work {
                name: "json line, ids and 2 fields, to a sink",
                ours: vec!["spanline json", "spanline json, real writer"],
                peers: vec![
                    "fmt json",
                    "fmt json, RUST_LOG",
                    "json-subscriber",
                    "init-tracing-opentelemetry json",
                ],
                baseline: "fmt json",
                goals: vec![Goal::TimeRatio(0.25)],
            },
            Work {
                name: "text lines by two threads, to a sink",
                ours: vec!["two: spanline text", "two: spanline text, real writer"],
                peers: vec!["two: fmt"],
                baseline: "two: fmt",
                goals: vec![Goal::Speedup(1.6)],
            },
        ],
    }
}

/// Ours; a filter is always on.
fn start(format: LogFormat, output: LogOutput) {
    let builder = spanline::builder("peers").log_format(format).log_output(output);
    // It runs until the process ends.
    std::mem::forget(builder.log_filter("info").otlp_endpoint(NOBODY).init());
}

/// With the real queue and writer, who writes to /dev/null.
fn nowhere() -> LogOutput {
    LogOutput::File("/dev/null".into())
}

fn spanline(format: LogFormat, output: LogOutput) -> Operation {
    start(format, output);
    inside_a_span()
}

/// The event that every subject writes.
fn event() {
    tracing::info!(sku = 12, user = "ada", "added item");
}

/// The event inside an entered span, over and over.
fn inside_a_span() -> Operation {
    let span = tracing::info_span!("request").entered();
    Box::new(move || {
        let _keep = &span;
        event();
    })
}

fn tracer() -> opentelemetry_sdk::trace::SdkTracer {
    SdkTracerProvider::builder().build().tracer("peers")
}

/// tracing-subscriber's own formatter as it ships; it knows no ids.
fn start_fmt() {
    Registry::default().with(Layer::new().with_writer(io::sink)).init();
}

fn fmt() -> Operation {
    start_fmt();
    inside_a_span()
}

/// The same behind a `RUST_LOG` filter.
fn fmt_filtered() -> Operation {
    let lines = Layer::new().with_writer(io::sink).with_filter(EnvFilter::new("info"));
    Registry::default().with(lines).init();
    inside_a_span()
}

/// tracing-subscriber's json, without ids.
fn fmt_json() -> Operation {
    Registry::default().with(Layer::new().json().with_writer(io::sink)).init();
    inside_a_span()
}

/// The same behind a `RUST_LOG` filter.
fn fmt_json_filtered() -> Operation {
    let lines = Layer::new().json().with_writer(io::sink).with_filter(EnvFilter::new("info"));
    Registry::default().with(lines).init();
    inside_a_span()
}

/// What most teams write by hand: a formatter that asks the current OpenTelemetry context, over
/// tracing-opentelemetry, which puts the ids there.
fn fmt_with_context_ids() -> Operation {
    let lines = Layer::new().event_format(WithIds).with_writer(io::sink);
    let spans = tracing_opentelemetry::layer().with_tracer(tracer());
    Registry::default().with(spans).with(lines).init();
    inside_a_span()
}

/// The same behind a `RUST_LOG` filter.
fn fmt_with_context_ids_filtered() -> Operation {
    let lines = Layer::new().event_format(WithIds).with_writer(io::sink);
    let spans = tracing_opentelemetry::layer().with_tracer(tracer());
    Registry::default().with(spans).with(lines.with_filter(EnvFilter::new("info"))).init();
    inside_a_span()
}

/// init-tracing-opentelemetry's lines with ids, as it prints them in production. It has no sink, so these are
/// written to /dev/null one by one.
fn init_tracing(format: fn(Init) -> Init) -> Operation {
    let spans = tracing_opentelemetry::layer().with_tracer(tracer());
    Registry::default().with(spans).with(init_tracing_layer(format)).init();
    inside_a_span()
}

/// The layer of it that prints.
pub fn init_tracing_layer<S>(
    format: fn(Init) -> Init,
) -> Box<dyn tracing_subscriber::Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let ids = init_tracing_opentelemetry::FmtTraceContext::TraceIdSpanId;
    let config = format(Init::production().with_fmt_trace_context(ids).with_file("/dev/null"));
    match config.build_layer() {
        Ok(layer) => layer,
        Err(error) => panic!("init-tracing-opentelemetry has no layer: {error}"),
    }
}

/// json-subscriber, without ids (its newest bridge is older than today's OpenTelemetry).
fn json_subscriber() -> Operation {
    Registry::default().with(json_subscriber::layer().with_writer(io::sink)).init();
    inside_a_span()
}

struct WithIds;

impl<S, N> FormatEvent<S, N> for WithIds
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        use opentelemetry::trace::TraceContextExt;
        let current = opentelemetry::Context::current();
        let span = current.span();
        let ids = span.span_context();
        if ids.is_valid() {
            write!(writer, "[trace_id={} span_id={}] ", ids.trace_id(), ids.span_id())?;
        }
        tracing_subscriber::fmt::format().with_ansi(false).format_event(context, writer, event)
    }
}

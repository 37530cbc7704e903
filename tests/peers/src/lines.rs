//! The work of one log line: an event with two fields inside a span, to a sink that throws it away.

use std::io;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, Layer};
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::work::Operation;

/// Ours in `format`, with its real writer; the lines go to /dev/null.
fn spanline(format: spanline::LogFormat) -> Operation {
    let output = spanline::LogOutput::File("/dev/null".into());
    let builder = spanline::builder("peers").log_format(format).log_output(output);
    // It runs until the process ends.
    std::mem::forget(builder.log_filter("info").init());
    inside_a_span()
}

/// Ours, `text`.
pub fn spanline_text() -> Operation {
    spanline(spanline::LogFormat::Text)
}

/// Ours, `json`.
pub fn spanline_json() -> Operation {
    spanline(spanline::LogFormat::Json)
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
pub fn fmt() -> Operation {
    Registry::default().with(Layer::new().with_writer(io::sink)).init();
    inside_a_span()
}

/// The same behind a `RUST_LOG` filter.
pub fn fmt_filtered() -> Operation {
    let lines = Layer::new().with_writer(io::sink).with_filter(EnvFilter::new("info"));
    Registry::default().with(lines).init();
    inside_a_span()
}

/// tracing-subscriber's json, without ids.
pub fn fmt_json() -> Operation {
    Registry::default().with(Layer::new().json().with_writer(io::sink)).init();
    inside_a_span()
}

/// What most teams write by hand: tracing-opentelemetry, and a formatter that asks the current
/// OpenTelemetry context.
pub fn fmt_with_context_ids() -> Operation {
    let lines = Layer::new().event_format(WithIds).with_writer(io::sink);
    let spans = tracing_opentelemetry::layer().with_tracer(tracer());
    Registry::default().with(spans).with(lines.with_filter(EnvFilter::new("info"))).init();
    inside_a_span()
}

/// json-subscriber, without ids (its newest bridge is older than today's OpenTelemetry).
pub fn json_subscriber() -> Operation {
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

//! A span or a sample as a line, for `OTEL_TRACES_EXPORTER=console` and `OTEL_METRICS_EXPORTER=console`: in the
//! format of lines, a span with its own ids, bounded, escaped and counted as every line.

use std::fmt::Write as _;

use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;
use tracing::Level;

use super::Lines;
use super::fields::Fields;
use super::render::Origin;
use super::ring::Priority;
use crate::context::SpanIds;

const SPAN: &str = "spanline::span";
const METRIC: &str = "spanline::metric";

impl Lines {
    /// Prints a span that has ended.
    pub(crate) fn print_span(&self, span: &SpanData) {
        let fill = |fields: &mut Fields| {
            describe(span, fields);
            origin(SPAN, SpanIds::of(&span.span_context))
        };
        self.emit(false, Priority::Normal, fill);
    }

    /// Prints a sample of a metric, as an exposition has it.
    pub(crate) fn print_sample(&self, sample: &str) {
        let fill = |fields: &mut Fields| {
            fields.set_message(format_args!("{sample}"));
            origin(METRIC, None)
        };
        self.emit(false, Priority::Normal, fill);
    }
}

fn origin(target: &'static str, ids: Option<SpanIds>) -> Origin<'static> {
    Origin { level: Level::INFO, target, file: None, line: None, ids, is_panic: false }
}

fn describe(span: &SpanData, fields: &mut Fields) {
    fields.set_message(format_args!("{}", span.name));
    let mut text = String::new();
    let mut field = |name, value: &dyn std::fmt::Display| {
        text.clear();
        // Writing to a text does not fail.
        let _ = write!(text, "{value}");
        fields.add_text(name, &text);
    };
    field("kind", &format_args!("{:?}", span.span_kind));
    if span.parent_span_id != SpanId::INVALID {
        field("parent_span_id", &span.parent_span_id);
    }
    let start: jiff::Timestamp = span.start_time.try_into().unwrap_or_default();
    field("start", &start);
    match &span.status {
        Status::Unset => {}
        Status::Ok => field("status", &"ok"),
        Status::Error { description } if description.is_empty() => field("status", &"error"),
        Status::Error { description } => field("status", &format_args!("error: {description}")),
    }
    // One field for all of them: the names of fields are the program's, those of attributes are data.
    let attributes = span.attributes.iter().map(|at| format!("{}={}", at.key, at.value));
    let events = span.events.iter().map(|event| event.name.to_string());
    let links = span.links.iter().map(|link| &link.span_context);
    let links = links.map(|linked| format!("{}/{}", linked.trace_id(), linked.span_id()));
    let lists = [
        ("attributes", attributes.collect()),
        ("events", events.collect()),
        ("links", links.collect()),
    ];
    for (name, list) in lists {
        let list: Vec<String> = list;
        if !list.is_empty() {
            field(name, &list.join(", "));
        }
    }
    let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
    fields.add_u64("duration_us", u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

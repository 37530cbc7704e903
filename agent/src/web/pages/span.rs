//! A span as a row of the waterfall.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::scale::{Bar, Scale};
use super::text::{Room, shown};
use super::time::{duration_text, offset_text};
use super::tree::Place;
use crate::record::{SpanId, TraceId, value_text};

/// Links of one span that are shown.
const MAX_LINKS: usize = 32;

/// Rows are indented up to this depth; deeper ones stand below each other.
const MAX_INDENT: usize = 12;

/// A span with the service it comes from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) span: &'a Span,
    /// The service's place in the legend.
    pub(super) service: usize,
}

/// What the template shows of a span.
pub(super) struct SpanRow {
    pub(super) id: String,
    pub(super) parent_id: String,
    pub(super) name: String,
    pub(super) service: usize,
    pub(super) kind: &'static str,
    pub(super) indent: usize,
    pub(super) is_orphan: bool,
    pub(super) is_error: bool,
    pub(super) status_message: String,
    pub(super) start: String,
    pub(super) duration: String,
    /// From when to when it ran.
    pub(super) unix_nanos: (i64, i64),
    pub(super) bar: Bar,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) events: Vec<EventRow>,
    /// The traces that it links to.
    pub(super) links: Vec<TraceId>,
    pub(super) marks: Vec<Mark>,
}

/// Something that happened while a span ran.
pub(super) struct EventRow {
    pub(super) offset: String,
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

/// A log line's place on the waterfall.
pub(super) struct Mark {
    pub(super) x: String,
    pub(super) level: &'static str,
    pub(super) title: String,
}

impl SpanRow {
    pub(super) fn new(source: Source<'_>, place: &Place, scale: &Scale, room: &mut Room) -> Self {
        let span = source.span;
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        Self {
            id: id_text(&span.span_id),
            parent_id: id_text(&span.parent_span_id),
            name: match span.name.as_str() {
                "" => "(no name)".to_owned(),
                name => shown(name),
            },
            service: source.service,
            kind: kind_text(span.kind()),
            indent: place.depth.min(MAX_INDENT),
            is_orphan: place.is_orphan,
            is_error: has_failed(span),
            status_message: shown(span.status.as_ref().map_or("", |status| &status.message)),
            start: offset_text(scale.offset(start)),
            duration: duration_text(end.saturating_sub(start)),
            unix_nanos: (signed(start), signed(end.max(start))),
            bar: scale.bar(start, end),
            attributes: attribute_texts(&span.attributes, room),
            events: event_rows(span, scale, room),
            links: span
                .links
                .iter()
                .filter_map(|link| TraceId::from_bytes(&link.trace_id))
                .take(MAX_LINKS)
                .collect(),
            marks: Vec::new(),
        }
    }
}

/// Whether its service says that it failed.
pub(super) fn has_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
}

fn event_rows(span: &Span, scale: &Scale, room: &mut Room) -> Vec<EventRow> {
    let mut rows = Vec::new();
    for event in &span.events {
        let name = shown(&event.name);
        if !room.take(&name, "") {
            break;
        }
        let offset = offset_text(scale.offset(event.time_unix_nano));
        rows.push(EventRow { offset, name, attributes: attribute_texts(&event.attributes, room) });
    }
    rows
}

/// Names and values, as they were sent and as far as there is room.
pub(super) fn attribute_texts(attributes: &[KeyValue], room: &mut Room) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for attribute in attributes {
        let value = attribute.value.as_ref().map(value_text).unwrap_or_default();
        let (name, value) = (shown(&attribute.key), shown(&value));
        if !room.take(&name, &value) {
            break;
        }
        texts.push((name, value));
    }
    texts
}

fn signed(unix_nano: u64) -> i64 {
    i64::try_from(unix_nano).unwrap_or(i64::MAX)
}

fn id_text(bytes: &[u8]) -> String {
    SpanId::from_bytes(bytes).map(|id| id.to_string()).unwrap_or_default()
}

fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified | SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

//! A span that has ended, as a test wants to see it.

use std::fmt;
use std::ops::Index;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Array, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Map, Value};

/// A span that has ended. Its attributes are had by name; one that it does not have is [`Value::Null`]:
///
/// ```
/// let telemetry = spanline::testing::start();
/// tracing::info_span!("order", sku = 12).in_scope(|| {});
/// let span = telemetry.span("order");
/// assert_eq!(span["sku"], 12);
/// assert!(span["price"].is_null());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Span {
    /// Its name, such as `GET /users/{id}`.
    pub name: String,
    /// Whether it answers a request, sends one, or neither.
    pub kind: SpanKind,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span it is a part of; `None` if it began its trace.
    pub parent_span_id: Option<SpanId>,
    /// Whether that span is another service's.
    pub is_parent_remote: bool,
    /// Whether it succeeded, if that was said.
    pub status: Status,
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// Spans that it has to do with, and is no part of.
    pub links: Vec<SpanContext>,
    /// From its start to its end.
    pub duration: Duration,
}

/// Something that happened in a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// What it is called.
    pub name: String,
    /// Its attributes.
    pub attributes: Map<String, Value>,
}

impl Span {
    /// Whether it began its trace.
    pub fn is_root(&self) -> bool {
        self.parent_span_id.is_none()
    }

    /// Whether it is right below this one.
    pub fn is_child_of(&self, parent: &Self) -> bool {
        self.trace_id == parent.trace_id && self.parent_span_id == Some(parent.span_id)
    }

    /// Whether it is marked as failed.
    pub fn is_failed(&self) -> bool {
        matches!(self.status, Status::Error { .. })
    }

    pub(super) fn of(span: SpanData) -> Self {
        let parent = span.parent_span_id;
        let events = span.events.events.into_iter().map(|event| SpanEvent {
            name: event.name.into_owned(),
            attributes: attributes(event.attributes),
        });
        Self {
            name: span.name.into_owned(),
            kind: span.span_kind,
            trace_id: span.span_context.trace_id(),
            span_id: span.span_context.span_id(),
            parent_span_id: (parent != SpanId::INVALID).then_some(parent),
            is_parent_remote: span.parent_span_is_remote,
            status: span.status,
            attributes: attributes(span.attributes),
            events: events.collect(),
            links: span.links.links.into_iter().map(|link| link.span_context).collect(),
            duration: span.end_time.duration_since(span.start_time).unwrap_or_default(),
        }
    }
}

/// A key that was set twice has its last value.
fn attributes(pairs: Vec<KeyValue>) -> Map<String, Value> {
    pairs.into_iter().map(|pair| (pair.key.to_string(), value(pair.value))).collect()
}

fn value(value: opentelemetry::Value) -> Value {
    match value {
        opentelemetry::Value::Bool(truth) => truth.into(),
        opentelemetry::Value::I64(number) => number.into(),
        opentelemetry::Value::F64(number) => number.into(),
        opentelemetry::Value::String(text) => text.as_str().into(),
        opentelemetry::Value::Array(array) => match array {
            Array::Bool(truths) => truths.into(),
            Array::I64(numbers) => numbers.into(),
            Array::F64(numbers) => numbers.into(),
            Array::String(texts) => texts.iter().map(|text| text.as_str()).collect(),
            other => other.to_string().into(),
        },
        other => other.to_string().into(),
    }
}

impl Index<&str> for Span {
    type Output = Value;

    fn index(&self, attribute: &str) -> &Value {
        self.attributes.get(attribute).unwrap_or(&Value::Null)
    }
}

/// `GET /users/{id} (Server) http.response.status_code=200 trace_id=… span_id=… parent=…`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.name, self.kind)?;
        for (key, value) in &self.attributes {
            write!(f, " {key}={value}")?;
        }
        if self.is_failed() {
            f.write_str(" failed")?;
        }
        write!(f, " trace_id={} span_id={}", self.trace_id, self.span_id)?;
        if let Some(parent) = self.parent_span_id {
            write!(f, " parent={parent}")?;
        }
        Ok(())
    }
}

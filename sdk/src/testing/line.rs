//! A line, read back from what was printed.

use std::fmt;
use std::ops::Index;

use opentelemetry::trace::{SpanId, TraceId};
use serde_json::{Map, Value};
use tracing::Level;

use super::span::Span;

/// A log line. Its fields are had by name; one that it does not have is [`Value::Null`]:
///
/// ```
/// let telemetry = spanline::testing::start();
/// tracing::info!(sku = 12, user = "ada", "added item");
/// let line = telemetry.line("added item");
/// assert_eq!((line["sku"].as_i64(), line["user"].as_str()), (Some(12), Some("ada")));
/// assert!(line["price"].is_null());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its target: by default the path of the module that it comes from.
    pub target: String,
    /// Its message; empty if the event has none.
    pub message: String,
    /// The trace it belongs to, if it was printed in a span.
    pub trace_id: Option<TraceId>,
    /// The span it was printed in, if there was one.
    pub span_id: Option<SpanId>,
    /// Whether that span is sampled.
    pub is_sampled: bool,
    /// Everything else on the line, as the format `json` has it: a field whose name is one of the line's own
    /// keys is called `field_<name>`.
    pub fields: Map<String, Value>,
    /// The line as it was printed.
    pub text: String,
}

impl Line {
    /// Whether it was printed in this very span.
    pub fn is_in(&self, span: &Span) -> bool {
        (self.trace_id, self.span_id) == (Some(span.trace_id), Some(span.span_id))
    }

    fn of(text: &str) -> Option<Self> {
        let mut fields: Map<String, Value> = serde_json::from_str(text).ok()?;
        let mut string = |key: &str| match fields.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let trace_id = string("trace_id").and_then(|id| TraceId::from_hex(&id).ok());
        let span_id = string("span_id").and_then(|id| SpanId::from_hex(&id).ok());
        string("timestamp")?;
        Some(Self {
            level: string("level")?.parse().ok()?,
            target: string("target")?,
            message: string("message").unwrap_or_default(),
            trace_id,
            span_id,
            is_sampled: string("trace_flags").is_some_and(|flags| flags == "01"),
            fields,
            text: text.to_owned(),
        })
    }
}

/// Reads what was printed.
///
/// # Panics
/// It is not what the format `json` promises.
pub(super) fn read(printed: &[u8]) -> impl Iterator<Item = Line> {
    let read_one = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        Line::of(&text).unwrap_or_else(|| panic!("this is no line of the format json: {text}"))
    };
    printed.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).map(read_one)
}

impl Index<&str> for Line {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&Value::Null)
    }
}

/// `INFO checkout::cart: added item sku=12 trace_id=… span_id=…`
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        if let (Some(trace_id), Some(span_id)) = (self.trace_id, self.span_id) {
            write!(f, " trace_id={trace_id} span_id={span_id}")?;
        }
        Ok(())
    }
}

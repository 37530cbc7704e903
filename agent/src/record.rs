//! The currency of the agent: what sources make, the fan-out hands on, and exporters take.
//!
//! Plain data only. Attributes keep OTLP's own types, because most of them come in and go out as
//! OTLP; what a tailed line needs on its hot path (text, time, ids) has types of its own.

mod split;
mod value_text;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

pub use value_text::value_text;

/// One signal's worth of telemetry, as it travels from a source to every exporter.
#[derive(Debug, Clone)]
pub enum Batch {
    /// Log records, grouped by who wrote them.
    Logs(Vec<LogBatch>),
    /// Spans as they were received.
    Spans(SpanBatch),
    /// Metrics as they were received.
    Metrics(MetricBatch),
}

/// Log records of one resource and scope.
#[derive(Debug, Clone)]
pub struct LogBatch {
    /// Who wrote the records.
    pub resource: Arc<Resource>,
    /// The library that wrote them; `None` for tailed lines.
    pub scope: Option<Arc<InstrumentationScope>>,
    /// The records, in the order in which they were written.
    pub records: Vec<LogRecord>,
}

/// Attributes of whoever wrote a record, named as OpenTelemetry's semantic conventions do
/// (`service.name`, `k8s.pod.name`, `log.file.path`, …).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// The attributes, in the order in which they came.
    pub attributes: Vec<KeyValue>,
}

/// One log record.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When it was written, in nanoseconds since 1970; 0 where nobody said.
    pub time_unix_nano: u64,
    /// When the agent (or the sender) first saw it, in nanoseconds since 1970.
    pub observed_time_unix_nano: u64,
    /// OTLP's severity number (1–24); 0 where nobody said.
    pub severity_number: i32,
    /// The severity as the writer spelled it; empty where nobody said.
    pub severity_text: String,
    /// What was written.
    pub body: Body,
    /// The record's own attributes (`log.iostream`, `service.name`, …).
    pub attributes: Vec<KeyValue>,
    /// The trace that was active; `None` when there was none.
    pub trace_id: Option<TraceId>,
    /// The span that was active; `None` when there was none.
    pub span_id: Option<SpanId>,
    /// W3C trace flags; bit 0 is "sampled".
    pub flags: u32,
}

/// The body of a log record.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A line of text: valid UTF-8, usually a slice of the buffer it was read into.
    Text(Text),
    /// Anything else that OTLP can carry.
    Value(AnyValue),
}

/// UTF-8 text that shares the buffer it was read into.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

/// Spans, grouped as OTLP groups them.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    /// The spans, by resource and scope.
    pub resource_spans: Vec<ResourceSpans>,
}

/// Metrics, grouped as OTLP groups them.
#[derive(Debug, Clone, Default)]
pub struct MetricBatch {
    /// The metrics, by resource and scope.
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// A trace's id: 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// A span's id: 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

// === impl Batch ===

impl Batch {
    /// How many records, spans or data points it holds.
    pub fn items(&self) -> usize {
        match self {
            Self::Logs(batches) => batches.iter().map(|batch| batch.records.len()).sum(),
            Self::Spans(batch) => batch.span_count(),
            Self::Metrics(batch) => batch.point_count(),
        }
    }

    /// The signal's name, as metrics label it.
    pub fn signal(&self) -> &'static str {
        match self {
            Self::Logs(_) => "logs",
            Self::Spans(_) => "traces",
            Self::Metrics(_) => "metrics",
        }
    }
}

impl SpanBatch {
    /// How many spans it holds.
    pub fn span_count(&self) -> usize {
        self.resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum()
    }
}

impl MetricBatch {
    /// How many data points it holds.
    pub fn point_count(&self) -> usize {
        use opentelemetry_proto::tonic::metrics::v1::metric::Data;
        self.resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
            .map(|metric| match &metric.data {
                None => 0,
                Some(Data::Gauge(data)) => data.data_points.len(),
                Some(Data::Sum(data)) => data.data_points.len(),
                Some(Data::Histogram(data)) => data.data_points.len(),
                Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                Some(Data::Summary(data)) => data.data_points.len(),
            })
            .sum()
    }
}

// === impl attributes ===

impl Resource {
    /// The text of the attribute `key`, if it has one.
    pub fn get(&self, key: &str) -> Option<&str> {
        find_text(&self.attributes, key)
    }
}

impl LogRecord {
    /// The text of the record's own attribute `key`, if it has one.
    pub fn get(&self, key: &str) -> Option<&str> {
        find_text(&self.attributes, key)
    }
}

/// An attribute with a text value.
pub fn text_attribute(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.into())) }),
        ..KeyValue::default()
    }
}

/// The text of the first attribute named `key`; `None` when it is missing or not a text.
pub fn find_text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

// === impl Text ===

impl Text {
    /// Takes `bytes` as they are when they are UTF-8, else with every invalid sequence replaced
    /// by U+FFFD: what was printed stays readable, whatever it was.
    pub fn from_utf8_lossy(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(_) => Self(bytes),
            Err(_) => Self(String::from_utf8_lossy(&bytes).into_owned().into()),
        }
    }

    /// Its bytes, which share the buffer.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Checked when it was made; the empty text can only stand for a broken invariant.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

// === impl ids ===

macro_rules! id {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// From its bytes; `None` when they are all zero or of the wrong number.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $bytes] = bytes.try_into().ok()?;
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// From exactly as many hex digits as it has half-bytes, in either case; `None` for
            /// anything else, and for zero.
            pub fn from_hex(hex: &[u8]) -> Option<Self> {
                let mut bytes = [0; $bytes];
                if hex.len() != 2 * bytes.len() {
                    return None;
                }
                for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
                    *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
                }
                Self::from_bytes(&bytes)
            }

            /// Its bytes, most significant first.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_hex_and_written_back() {
        let id = TraceId::from_hex(b"0af7651916CD43DD8448eb211c80319c").unwrap();
        assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(SpanId::from_hex(b"00f067aa0ba902b7").unwrap().to_string(), "00f067aa0ba902b7");
    }

    #[test]
    fn what_stands_for_no_id_is_none() {
        for none in ["0", "undefined", "", "00000000000000000000000000000000", "0af7651916cd43dd"] {
            assert_eq!(TraceId::from_hex(none.as_bytes()), None, "{none:?}");
        }
        assert_eq!(SpanId::from_hex(b"0af7651916cd43dg"), None);
        assert_eq!(SpanId::from_bytes(&[0; 8]), None);
    }

    #[test]
    fn invalid_utf8_stays_readable() {
        let text = Text::from_utf8_lossy(Bytes::from_static(b"caf\xe9 open"));
        assert_eq!(text.as_str(), "caf\u{fffd} open");
    }
}

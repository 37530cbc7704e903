//! How much memory will a body take once it is decoded? Asked before decoding it.
//!
//! A message of OTLP with nothing in it is two bytes on the wire and up to some hundred bytes as
//! a Rust struct, and gzip makes a thousandth of the two: four kilobytes can ask for half a
//! gigabyte. So the wire format is walked first, with OTLP's nesting at hand but without
//! allocating anything, and the sizes of the structs are added up.

use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, SummaryDataPoint, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, span};

use super::limits::MAX_DECODED_BYTES;
use super::refusal::Refusal;

/// As deep as prost decodes, and serde_json within its own limit.
const MAX_DEPTH: usize = 100;
/// What an allocation takes beside what is put into it.
const ALLOCATION_BYTES: usize = 24;
/// A JSON object's share: the largest struct it can become, or a map with a few keys.
const JSON_OBJECT_BYTES: usize = 320;
/// A JSON array element's share: a string or a number.
const JSON_ELEMENT_BYTES: usize = 32;

/// A message type, as far as its size depends on what is in it.
#[derive(Debug)]
pub(super) struct Shape {
    /// `size_of` the Rust struct where it stands in a `Vec`; 0 where its parent contains it.
    bytes: usize,
    /// Fields that are messages themselves.
    messages: &'static [(u64, &'static Shape)],
    /// The field whose bytes are packed varints, eight bytes each when decoded; 0 for none.
    packed_varints: u64,
}

const fn shape<T>(messages: &'static [(u64, &'static Shape)]) -> Shape {
    Shape { bytes: size_of::<T>(), messages, packed_varints: 0 }
}

pub(super) static TRACES: Shape = shape::<()>(&[(1, &RESOURCE_SPANS)]);
pub(super) static LOGS: Shape = shape::<()>(&[(1, &RESOURCE_LOGS)]);
pub(super) static METRICS: Shape = shape::<()>(&[(1, &RESOURCE_METRICS)]);

static RESOURCE_SPANS: Shape = shape::<ResourceSpans>(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
static SCOPE_SPANS: Shape = shape::<ScopeSpans>(&[(1, &SCOPE), (2, &SPAN)]);
static SPAN: Shape = shape::<Span>(&[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK)]);
static EVENT: Shape = shape::<span::Event>(&[(3, &KEY_VALUE)]);
static LINK: Shape = shape::<span::Link>(&[(4, &KEY_VALUE)]);

static RESOURCE_LOGS: Shape = shape::<ResourceLogs>(&[(1, &RESOURCE), (2, &SCOPE_LOGS)]);
static SCOPE_LOGS: Shape = shape::<ScopeLogs>(&[(1, &SCOPE), (2, &LOG_RECORD)]);
static LOG_RECORD: Shape = shape::<LogRecord>(&[(5, &ANY_VALUE), (6, &KEY_VALUE)]);

static RESOURCE_METRICS: Shape = shape::<ResourceMetrics>(&[(1, &RESOURCE), (2, &SCOPE_METRICS)]);
static SCOPE_METRICS: Shape = shape::<ScopeMetrics>(&[(1, &SCOPE), (2, &METRIC)]);
static METRIC: Shape = shape::<Metric>(&[
    (5, &NUMBERS),
    (7, &NUMBERS),
    (9, &HISTOGRAM),
    (10, &EXPONENTIAL),
    (11, &SUMMARY),
    (12, &KEY_VALUE),
]);
static NUMBERS: Shape = shape::<()>(&[(1, &NUMBER_POINT)]);
static HISTOGRAM: Shape = shape::<()>(&[(1, &HISTOGRAM_POINT)]);
static EXPONENTIAL: Shape = shape::<()>(&[(1, &EXPONENTIAL_POINT)]);
static SUMMARY: Shape = shape::<()>(&[(1, &SUMMARY_POINT)]);
static NUMBER_POINT: Shape = shape::<NumberDataPoint>(&[(5, &EXEMPLAR), (7, &KEY_VALUE)]);
static HISTOGRAM_POINT: Shape = shape::<HistogramDataPoint>(&[(8, &EXEMPLAR), (9, &KEY_VALUE)]);
static EXPONENTIAL_POINT: Shape = shape::<ExponentialHistogramDataPoint>(&[
    (1, &KEY_VALUE),
    (8, &BUCKETS),
    (9, &BUCKETS),
    (11, &EXEMPLAR),
]);
static BUCKETS: Shape = Shape { bytes: 0, messages: &[], packed_varints: 2 };
static SUMMARY_POINT: Shape = shape::<SummaryDataPoint>(&[(6, &QUANTILE), (7, &KEY_VALUE)]);
static QUANTILE: Shape = shape::<ValueAtQuantile>(&[]);
static EXEMPLAR: Shape = shape::<Exemplar>(&[(7, &KEY_VALUE)]);

static RESOURCE: Shape = shape::<()>(&[(1, &KEY_VALUE), (3, &ENTITY)]);
static ENTITY: Shape = shape::<EntityRef>(&[]);
static SCOPE: Shape = shape::<()>(&[(3, &KEY_VALUE)]);
static KEY_VALUE: Shape = shape::<KeyValue>(&[(2, &VALUE)]);
static VALUE: Shape = shape::<()>(&[(5, &ARRAY), (6, &KEY_VALUES)]);
static ANY_VALUE: Shape = shape::<AnyValue>(&[(5, &ARRAY), (6, &KEY_VALUES)]);
static ARRAY: Shape = shape::<()>(&[(1, &ANY_VALUE)]);
static KEY_VALUES: Shape = shape::<()>(&[(1, &KEY_VALUE)]);

/// The bytes that the protobuf message `body` takes when decoded.
///
/// # Errors
/// When it would take too much, nests too deeply, or is not protobuf.
pub(super) fn protobuf(body: &[u8], shape: &Shape) -> Result<usize, Refusal> {
    let mut scan = Scan { bytes: 0 };
    scan.message(body, shape, 0)?;
    Ok(scan.bytes)
}

/// The bytes that the JSON text `body` takes when decoded, from above: each object may become the
/// largest of the structs.
///
/// # Errors
/// When it would take too much.
pub(super) fn json(body: &[u8]) -> Result<usize, Refusal> {
    let mut bytes = body.len();
    let mut rest = body.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => skip_string(&mut rest),
            b'{' => bytes += JSON_OBJECT_BYTES,
            b'[' | b',' => bytes += JSON_ELEMENT_BYTES,
            _ => continue,
        }
        if bytes > MAX_DECODED_BYTES {
            return Err(Refusal::DecodedTooLarge);
        }
    }
    Ok(bytes)
}

fn skip_string(rest: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => _ = rest.next(),
            b'"' => return,
            _ => {}
        }
    }
}

struct Scan {
    bytes: usize,
}

impl Scan {
    fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_DECODED_BYTES { Err(Refusal::DecodedTooLarge) } else { Ok(()) }
    }

    fn message(&mut self, mut rest: &[u8], shape: &Shape, depth: usize) -> Result<(), Refusal> {
        if depth > MAX_DEPTH {
            return Err(malformed("messages are nested too deeply"));
        }
        self.add(shape.bytes)?;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            let field = key >> 3;
            match key & 7 {
                0 => {
                    varint(&mut rest)?;
                    if field == shape.packed_varints {
                        self.add(size_of::<u64>())?;
                    }
                }
                1 => {
                    // May be one of a repeated field that is not packed.
                    take(&mut rest, 8)?;
                    self.add(size_of::<u64>())?;
                }
                2 => {
                    let length = varint(&mut rest)?;
                    let value = take(&mut rest, length)?;
                    match shape.messages.iter().find(|(number, _)| *number == field) {
                        Some((_, inner)) => self.message(value, inner, depth + 1)?,
                        None if field == shape.packed_varints => {
                            self.add(value.len().saturating_mul(size_of::<u64>()))?;
                        }
                        None => self.add(value.len() + ALLOCATION_BYTES)?,
                    }
                }
                5 => _ = take(&mut rest, 4)?,
                // Groups, which nobody has written for decades: prost would skip them.
                _ => return Err(malformed("a field has a wire type that OTLP does not use")),
            }
        }
        Ok(())
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::Malformed(why.to_owned())
}

fn varint(rest: &mut &[u8]) -> Result<u64, Refusal> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, tail) =
            rest.split_first().ok_or_else(|| malformed("the message ends within a number"))?;
        *rest = tail;
        // The tenth byte has room for one bit; prost refuses more, here they are cut off.
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(malformed("a number is longer than ten bytes"))
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Refusal> {
    let (value, tail) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| malformed("the message ends within a field"))?;
    *rest = tail;
    Ok(value)
}

#[cfg(test)]
mod tests;

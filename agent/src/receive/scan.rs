//! What a protobuf message will cost in memory, found out before it is decoded.
//!
//! A span without fields is two bytes on the wire and some three hundred in memory: 4 MiB of them, sent
//! as 4 kB of gzip, would decode to half a gigabyte. So the wire is walked first, along the messages that
//! can repeat, and what each becomes in memory is added up.

use std::mem::size_of;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::{logs, metrics, trace};

/// A message, as far as it matters here: what it takes in memory and which of its fields hold messages.
pub(super) struct Shape {
    memory_bytes: usize,
    messages: &'static [(u64, &'static Shape)],
}

/// Values nest at most this deep: what is deeper is not decoded by prost either.
const MAX_DEPTH: u32 = 64;

/// What a text or a list costs besides its bytes.
const ALLOCATION_BYTES: usize = 32;

static ANY_VALUE: Shape = Shape {
    memory_bytes: size_of::<AnyValue>(),
    messages: &[(5, &ARRAY_VALUE), (6, &KEY_VALUE_LIST)],
};
static ARRAY_VALUE: Shape = Shape { memory_bytes: ALLOCATION_BYTES, messages: &[(1, &ANY_VALUE)] };
static KEY_VALUE_LIST: Shape =
    Shape { memory_bytes: ALLOCATION_BYTES, messages: &[(1, &KEY_VALUE)] };
static KEY_VALUE: Shape =
    Shape { memory_bytes: size_of::<KeyValue>(), messages: &[(2, &ANY_VALUE)] };
static RESOURCE: Shape = Shape { memory_bytes: ALLOCATION_BYTES, messages: &[(1, &KEY_VALUE)] };
static SCOPE: Shape = Shape { memory_bytes: ALLOCATION_BYTES, messages: &[(3, &KEY_VALUE)] };

/// `ExportTraceServiceRequest`.
pub(super) static TRACES: Shape = Shape { memory_bytes: 0, messages: &[(1, &RESOURCE_SPANS)] };
static RESOURCE_SPANS: Shape = Shape {
    memory_bytes: size_of::<trace::v1::ResourceSpans>(),
    messages: &[(1, &RESOURCE), (2, &SCOPE_SPANS)],
};
static SCOPE_SPANS: Shape = Shape {
    memory_bytes: size_of::<trace::v1::ScopeSpans>(),
    messages: &[(1, &SCOPE), (2, &SPAN)],
};
static SPAN: Shape = Shape {
    memory_bytes: size_of::<trace::v1::Span>(),
    messages: &[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK)],
};
static EVENT: Shape =
    Shape { memory_bytes: size_of::<trace::v1::span::Event>(), messages: &[(3, &KEY_VALUE)] };
static LINK: Shape =
    Shape { memory_bytes: size_of::<trace::v1::span::Link>(), messages: &[(4, &KEY_VALUE)] };

/// `ExportLogsServiceRequest`.
pub(super) static LOGS: Shape = Shape { memory_bytes: 0, messages: &[(1, &RESOURCE_LOGS)] };
static RESOURCE_LOGS: Shape = Shape {
    memory_bytes: size_of::<logs::v1::ResourceLogs>(),
    messages: &[(1, &RESOURCE), (2, &SCOPE_LOGS)],
};
static SCOPE_LOGS: Shape = Shape {
    memory_bytes: size_of::<logs::v1::ScopeLogs>(),
    messages: &[(1, &SCOPE), (2, &LOG_RECORD)],
};
static LOG_RECORD: Shape = Shape {
    // Decoded, and then made into a record of ours.
    memory_bytes: size_of::<logs::v1::LogRecord>() + size_of::<crate::record::LogRecord>(),
    messages: &[(5, &ANY_VALUE), (6, &KEY_VALUE)],
};

/// `ExportMetricsServiceRequest`.
pub(super) static METRICS: Shape = Shape { memory_bytes: 0, messages: &[(1, &RESOURCE_METRICS)] };
static RESOURCE_METRICS: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::ResourceMetrics>(),
    messages: &[(1, &RESOURCE), (2, &SCOPE_METRICS)],
};
static SCOPE_METRICS: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::ScopeMetrics>(),
    messages: &[(1, &SCOPE), (2, &METRIC)],
};
static METRIC: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::Metric>(),
    messages: &[
        (5, &DATA_POINTS),
        (7, &DATA_POINTS),
        (9, &HISTOGRAM),
        (10, &EXPONENTIAL),
        (11, &SUMMARY),
        (12, &KEY_VALUE),
    ],
};
static DATA_POINTS: Shape = Shape { memory_bytes: 0, messages: &[(1, &NUMBER)] };
static NUMBER: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::NumberDataPoint>(),
    messages: &[(5, &EXEMPLAR), (7, &KEY_VALUE)],
};
static HISTOGRAM: Shape = Shape { memory_bytes: 0, messages: &[(1, &HISTOGRAM_POINT)] };
static HISTOGRAM_POINT: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::HistogramDataPoint>(),
    messages: &[(8, &EXEMPLAR), (9, &KEY_VALUE)],
};
static EXPONENTIAL: Shape = Shape { memory_bytes: 0, messages: &[(1, &EXPONENTIAL_POINT)] };
static EXPONENTIAL_POINT: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::ExponentialHistogramDataPoint>(),
    messages: &[(1, &KEY_VALUE), (11, &EXEMPLAR)],
};
static SUMMARY: Shape = Shape { memory_bytes: 0, messages: &[(1, &SUMMARY_POINT)] };
static SUMMARY_POINT: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::SummaryDataPoint>(),
    messages: &[(6, &QUANTILE), (7, &KEY_VALUE)],
};
static QUANTILE: Shape = Shape {
    memory_bytes: size_of::<metrics::v1::summary_data_point::ValueAtQuantile>(),
    messages: &[],
};
static EXEMPLAR: Shape =
    Shape { memory_bytes: size_of::<metrics::v1::Exemplar>(), messages: &[(7, &KEY_VALUE)] };

/// Roughly the bytes that `message` takes once it is decoded; `None` when it is not protobuf, or nests
/// too deep.
pub(super) fn decoded_bytes(message: &[u8], shape: &Shape) -> Option<usize> {
    // Texts and numbers stay about as long as they are on the wire.
    Some(message.len() + structs_bytes(message, shape, MAX_DEPTH)?)
}

fn structs_bytes(mut message: &[u8], shape: &Shape, depth: u32) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut total_bytes = 0_usize;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => skip(&mut message, 8)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let content = message.get(..length)?;
                message = message.get(length..)?;
                let field = key >> 3;
                let found = shape.messages.iter().find(|(number, _)| *number == field);
                total_bytes = total_bytes.saturating_add(match found {
                    Some((_, inner)) => inner
                        .memory_bytes
                        .saturating_add(structs_bytes(content, inner, depth)?),
                    None => ALLOCATION_BYTES,
                });
            }
            5 => skip(&mut message, 4)?,
            // Groups are not used by OTLP, and prost would refuse them here as well.
            _ => return None,
        }
    }
    Some(total_bytes)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn skip(message: &mut &[u8], bytes: usize) -> Option<()> {
    *message = message.get(bytes..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    use super::*;
    use crate::receive::testing;

    #[test]
    fn empty_spans_cost_what_they_take_in_memory() {
        let spans = 100_000;
        let request = testing::empty_spans(spans).encode_to_vec();
        let cost = decoded_bytes(&request, &TRACES).unwrap();
        assert!(request.len() < 4 * spans, "they are small on the wire: {}", request.len());
        assert!(cost > spans * size_of::<trace::v1::Span>(), "{cost}");
    }

    #[test]
    fn an_ordinary_request_costs_a_few_times_its_size() {
        let request = testing::request("checkout", 100).encode_to_vec();
        let cost = decoded_bytes(&request, &TRACES).unwrap();
        assert!(cost < 12 * request.len(), "{cost} for {} bytes", request.len());
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let mut value = Vec::new();
        // A list in a value in a list in a value …; the outermost is a value.
        for level in 0..10_000 {
            let mut outer = vec![if level % 2 == 1 { 0x2a } else { 0x0a }];
            prost::encoding::encode_varint(value.len() as u64, &mut outer);
            outer.extend_from_slice(&value);
            value = outer;
        }
        assert_eq!(decoded_bytes(&value, &ANY_VALUE), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            let decodes = ExportTraceServiceRequest::decode(bytes.as_slice()).is_ok();
            let cost = decoded_bytes(&bytes, &TRACES);
            proptest::prop_assert!(cost.is_some() || !decodes || bytes.iter().any(|b| b & 7 == 3));
        }
    }
}

//! OTLP's messages become batches.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord as WireRecord, ResourceLogs};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::Rejected;
use crate::record::{Body, LogBatch, LogRecord, Resource, SpanBatch, SpanId, TraceId};

/// Spans as they came, without those that have no valid ids: nobody could ever find them.
pub(super) fn spans(mut resource_spans: Vec<ResourceSpans>) -> (SpanBatch, Rejected) {
    let mut rejected = Rejected { items: 0, why: "spans without a valid trace_id or span_id" };
    for scope in resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
        let before = scope.spans.len();
        scope.spans.retain(|span| {
            TraceId::from_bytes(&span.trace_id).is_some()
                && SpanId::from_bytes(&span.span_id).is_some()
        });
        rejected.items += (before - scope.spans.len()) as i64;
    }
    (SpanBatch { resource_spans }, rejected)
}

/// Log records, one batch for each resource and scope.
pub(super) fn logs(resource_logs: Vec<ResourceLogs>) -> Vec<LogBatch> {
    let observed = unix_nanos_now();
    let mut batches = Vec::new();
    for resource_logs in resource_logs {
        let attributes = resource_logs.resource.map(|resource| resource.attributes);
        let resource = Arc::new(Resource { attributes: attributes.unwrap_or_default() });
        for scope_logs in resource_logs.scope_logs {
            let to_record = |record| record_of(record, observed);
            batches.push(LogBatch {
                resource: Arc::clone(&resource),
                scope: scope_logs.scope.map(Arc::new),
                records: scope_logs.log_records.into_iter().map(to_record).collect(),
            });
        }
    }
    batches
}

fn record_of(record: WireRecord, observed_unix_nano: u64) -> LogRecord {
    let body = record.body.unwrap_or_default();
    LogRecord {
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: match record.observed_time_unix_nano {
            0 => observed_unix_nano,
            given => given,
        },
        severity_number: record.severity_number,
        severity_text: record.severity_text,
        body: match body.value {
            Some(Value::StringValue(text)) => Body::Text(text.into()),
            _ => Body::Value(body),
        },
        attributes: record.attributes,
        trace_id: TraceId::from_bytes(&record.trace_id),
        span_id: SpanId::from_bytes(&record.span_id),
        flags: record.flags,
    }
}

fn unix_nanos_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::logs::v1::ScopeLogs;

    use super::*;
    use crate::receive::testing;

    #[test]
    fn a_span_without_ids_is_set_aside_and_counted() {
        let mut request = testing::request("checkout", 3);
        request.resource_spans[0].scope_spans[0].spans[1].span_id.clear();
        request.resource_spans[0].scope_spans[0].spans[2].trace_id = vec![0; 16];
        let (batch, rejected) = spans(request.resource_spans);
        assert_eq!((batch.span_count(), rejected.items), (1, 2));
    }

    #[test]
    fn a_record_without_ids_or_body_is_still_a_record() {
        let empty = WireRecord::default();
        let text = WireRecord {
            body: Some(AnyValue { value: Some(Value::StringValue("hello".into())) }),
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..WireRecord::default()
        };
        let scope_logs = ScopeLogs { log_records: vec![empty, text], ..ScopeLogs::default() };
        let batches = logs(vec![ResourceLogs {
            scope_logs: vec![scope_logs],
            ..ResourceLogs::default()
        }]);
        let [empty, text] = batches[0].records.as_slice() else { panic!("{batches:?}") };
        assert_eq!((empty.trace_id, empty.span_id), (None, None));
        assert!(empty.observed_time_unix_nano > 0);
        assert_eq!(text.body, Body::Text("hello".to_owned().into()));
        assert_eq!(text.trace_id, TraceId::from_bytes(&[1; 16]));
    }
}

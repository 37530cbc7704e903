//! Log records of OTLP → the agent's own, which tailed lines become too.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope};
use opentelemetry_proto::tonic::logs::v1::{self as otlp, ResourceLogs};

use crate::record::{Body, LogBatch, LogRecord, Resource, SpanId, Text, TraceId, text_attribute};

/// The attribute that keeps OTLP's event name.
const EVENT_NAME: &str = "event.name";

/// One batch for each resource and scope that has records.
pub(super) fn batches(resource_logs: Vec<ResourceLogs>) -> Vec<LogBatch> {
    let observed = unix_nano_now();
    let to_record = |sent| record(sent, observed);
    let mut batches = Vec::new();
    for sent in resource_logs {
        let attributes = sent.resource.map(|resource| resource.attributes).unwrap_or_default();
        let resource = Arc::new(Resource { attributes });
        for scope in sent.scope_logs.into_iter().filter(|scope| !scope.log_records.is_empty()) {
            batches.push(LogBatch {
                resource: Arc::clone(&resource),
                scope: scope.scope.filter(is_named).map(Arc::new),
                records: scope.log_records.into_iter().map(to_record).collect(),
            });
        }
    }
    batches
}

/// Some senders write an empty scope in place of none.
fn is_named(scope: &InstrumentationScope) -> bool {
    *scope != InstrumentationScope::default()
}

fn record(sent: otlp::LogRecord, observed_unix_nano: u64) -> LogRecord {
    let mut attributes = sent.attributes;
    if !sent.event_name.is_empty() {
        attributes.push(text_attribute(EVENT_NAME, sent.event_name));
    }
    LogRecord {
        time_unix_nano: sent.time_unix_nano,
        observed_time_unix_nano: match sent.observed_time_unix_nano {
            0 => observed_unix_nano,
            said => said,
        },
        severity_number: sent.severity_number,
        severity_text: sent.severity_text,
        body: body(sent.body),
        attributes,
        trace_id: TraceId::from_bytes(&sent.trace_id),
        span_id: SpanId::from_bytes(&sent.span_id),
        flags: sent.flags,
    }
}

fn body(sent: Option<AnyValue>) -> Body {
    match sent.and_then(|body| body.value) {
        Some(Value::StringValue(text)) => Body::Text(Text::from(text)),
        value => Body::Value(AnyValue { value }),
    }
}

fn unix_nano_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
    use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;

    fn one(record: otlp::LogRecord) -> LogRecord {
        let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
        let sent = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
        batches(vec![sent]).remove(0).records.remove(0)
    }

    #[test]
    fn no_body_is_not_an_empty_text() {
        assert_eq!(body(None), Body::Value(AnyValue { value: None }));
        assert_eq!(body(Some(AnyValue { value: None })), Body::Value(AnyValue { value: None }));
    }

    #[test]
    fn a_text_body_stays_text_and_ids_that_are_none_are_none() {
        let text = Value::StringValue("hello".to_owned());
        let record = one(otlp::LogRecord {
            body: Some(AnyValue { value: Some(text) }),
            trace_id: vec![7; 16],
            span_id: vec![0; 8],
            event_name: "cart.added".to_owned(),
            ..otlp::LogRecord::default()
        });
        assert_eq!(record.body, Body::Text(Text::from("hello".to_owned())));
        assert_eq!(record.trace_id, TraceId::from_bytes(&[7; 16]));
        assert_eq!(record.span_id, None);
        assert!(record.observed_time_unix_nano > 0, "whoever did not say is seen now");
        assert_eq!(record.get("event.name"), Some("cart.added"));
    }

    #[test]
    fn scopes_of_one_resource_share_it() {
        let scope =
            ScopeLogs { log_records: vec![otlp::LogRecord::default()], ..ScopeLogs::default() };
        let attributes = vec![text_attribute("service.name", "cart")];
        let resource = OtlpResource { attributes, ..OtlpResource::default() };
        let scope_logs = vec![scope.clone(), ScopeLogs::default(), scope];
        let sent = ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() };
        let batches = batches(vec![sent]);
        assert_eq!(batches.len(), 2, "a scope without records makes no batch");
        assert!(Arc::ptr_eq(&batches[0].resource, &batches[1].resource));
        assert_eq!(batches[1].resource.get("service.name"), Some("cart"));
    }
}

//! Log records as OTLP carries them.

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord as OtlpRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::record::{Body, LogBatch, LogRecord};

pub(super) fn resource_logs(batch: &LogBatch) -> ResourceLogs {
    let attributes = batch.resource.attributes.clone();
    let scope_logs = ScopeLogs {
        scope: batch.scope.as_deref().cloned(),
        log_records: batch.records.iter().map(record).collect(),
        ..ScopeLogs::default()
    };
    ResourceLogs {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_logs: vec![scope_logs],
        ..ResourceLogs::default()
    }
}

fn record(record: &LogRecord) -> OtlpRecord {
    let body = match &record.body {
        Body::Text(text) => AnyValue { value: Some(Value::StringValue(text.as_str().to_owned())) },
        Body::Value(value) => value.clone(),
    };
    OtlpRecord {
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text.clone(),
        body: Some(body),
        attributes: record.attributes.clone(),
        flags: record.flags,
        trace_id: record.trace_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        span_id: record.span_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        ..OtlpRecord::default()
    }
}

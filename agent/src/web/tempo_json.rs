//! Spans as JSON, as the real Tempo writes it: ids in base64, 64-bit numbers as strings, enums by name,
//! and nothing for what is at its default.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Map, Value, json};

/// The list of `ResourceSpans`.
pub(super) fn resource_spans(batches: &[ResourceSpans]) -> Value {
    let one = |batch: &ResourceSpans| {
        let resource = batch.resource.clone().unwrap_or_default();
        let mut object = Object::default();
        object.always("resource", json!({ "attributes": attributes(&resource.attributes) }));
        object.always("scopeSpans", batch.scope_spans.iter().map(scope_spans).collect());
        object.text("schemaUrl", &batch.schema_url);
        object.done()
    };
    batches.iter().map(one).collect()
}

fn scope_spans(batch: &ScopeSpans) -> Value {
    let mut object = Object::default();
    object.always("scope", batch.scope.as_ref().map_or_else(|| json!({}), scope));
    object.always("spans", batch.spans.iter().map(span).collect());
    object.text("schemaUrl", &batch.schema_url);
    object.done()
}

fn scope(scope: &InstrumentationScope) -> Value {
    let mut object = Object::default();
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    object.list("attributes", attributes(&scope.attributes));
    object.done()
}

fn span(span: &Span) -> Value {
    let mut object = Object::default();
    object.bytes("traceId", &span.trace_id);
    object.bytes("spanId", &span.span_id);
    object.text("traceState", &span.trace_state);
    object.bytes("parentSpanId", &span.parent_span_id);
    object.text("name", &span.name);
    let kind = SpanKind::try_from(span.kind).unwrap_or_default();
    if kind != SpanKind::Unspecified {
        object.always("kind", kind.as_str_name().into());
    }
    object.long("startTimeUnixNano", span.start_time_unix_nano);
    object.long("endTimeUnixNano", span.end_time_unix_nano);
    object.list("attributes", attributes(&span.attributes));
    object.count("droppedAttributesCount", span.dropped_attributes_count);
    object.list("events", span.events.iter().map(event).collect());
    object.count("droppedEventsCount", span.dropped_events_count);
    object.list("links", span.links.iter().map(link).collect());
    object.count("droppedLinksCount", span.dropped_links_count);
    object.always("status", span.status.as_ref().map_or_else(|| json!({}), status));
    object.done()
}

fn event(event: &Event) -> Value {
    let mut object = Object::default();
    object.long("timeUnixNano", event.time_unix_nano);
    object.text("name", &event.name);
    object.list("attributes", attributes(&event.attributes));
    object.count("droppedAttributesCount", event.dropped_attributes_count);
    object.done()
}

fn link(link: &Link) -> Value {
    let mut object = Object::default();
    object.bytes("traceId", &link.trace_id);
    object.bytes("spanId", &link.span_id);
    object.text("traceState", &link.trace_state);
    object.list("attributes", attributes(&link.attributes));
    object.done()
}

fn status(status: &Status) -> Value {
    let mut object = Object::default();
    object.text("message", &status.message);
    let code = StatusCode::try_from(status.code).unwrap_or_default();
    if code != StatusCode::Unset {
        object.always("code", code.as_str_name().into());
    }
    object.done()
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let one = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().map_or_else(|| json!({}), any_value);
        json!({ "key": attribute.key, "value": value })
    };
    attributes.iter().map(one).collect()
}

fn any_value(value: &AnyValue) -> Value {
    match &value.value {
        None => json!({}),
        Some(AnyKind::StringValue(text)) => json!({ "stringValue": text }),
        Some(AnyKind::BoolValue(value)) => json!({ "boolValue": value }),
        Some(AnyKind::IntValue(value)) => json!({ "intValue": value.to_string() }),
        Some(AnyKind::DoubleValue(value)) if value.is_finite() => json!({ "doubleValue": value }),
        Some(AnyKind::DoubleValue(value)) => json!({ "doubleValue": non_finite(*value) }),
        Some(AnyKind::BytesValue(bytes)) => json!({ "bytesValue": BASE64.encode(bytes) }),
        Some(AnyKind::ArrayValue(array)) => {
            let values: Value = array.values.iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Some(AnyKind::KvlistValue(list)) => {
            json!({ "kvlistValue": { "values": attributes(&list.values) } })
        }
        // A reference into a table that only profiles have.
        Some(_) => json!({}),
    }
}

/// How protobuf's JSON spells what JSON has no number for.
fn non_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// An object without what is at its default.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn always(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.always(key, text.into());
        }
    }

    fn bytes(&mut self, key: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.always(key, BASE64.encode(bytes).into());
        }
    }

    fn long(&mut self, key: &str, value: u64) {
        if value != 0 {
            self.always(key, value.to_string().into());
        }
    }

    fn count(&mut self, key: &str, value: u32) {
        if value != 0 {
            self.always(key, value.into());
        }
    }

    fn list(&mut self, key: &str, list: Value) {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            self.always(key, list);
        }
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::testing;

    #[test]
    fn a_span_looks_as_tempo_writes_it() {
        let request = testing::request("checkout", 1);
        let json = resource_spans(&request.resource_spans);
        let span = &json[0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "BwcHBwcHBwcHBwcHBwcHBw==");
        assert_eq!(span["spanId"], "AAAAAAAAAAE=");
        assert_eq!(span["kind"], "SPAN_KIND_SERVER");
        assert_eq!(span["startTimeUnixNano"], "1700000000000000000");
        assert_eq!(span["status"], json!({}));
        assert!(span.get("parentSpanId").is_none());
        let attribute = &json[0]["resource"]["attributes"][0];
        assert_eq!(
            attribute,
            &json!({"key": "service.name", "value": {"stringValue": "checkout"}})
        );
    }
}

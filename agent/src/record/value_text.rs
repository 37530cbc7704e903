//! OTLP values as text, the way the Collector and Loki print them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::Value as Json;

/// Deeper values are cut: OTLP from a socket may nest as deep as its sender likes.
const MAX_DEPTH: usize = 32;

/// A text as it is, a list or map as JSON, anything else as JSON would print it.
pub fn value_text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(other) => json(Some(other), 0).to_string(),
    }
}

fn json(value: Option<&Value>, depth: usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::from("…");
    }
    let child = |value: &AnyValue| json(value.value.as_ref(), depth + 1);
    match value {
        None | Some(Value::StringValueStrindex(_)) => Json::Null,
        Some(Value::StringValue(text)) => Json::from(text.as_str()),
        Some(Value::BoolValue(truth)) => Json::from(*truth),
        Some(Value::IntValue(number)) => Json::from(*number),
        // JSON has no NaN and no infinity.
        Some(Value::DoubleValue(number)) if !number.is_finite() => Json::from(number.to_string()),
        Some(Value::DoubleValue(number)) => Json::from(*number),
        Some(Value::BytesValue(bytes)) => Json::from(STANDARD.encode(bytes)),
        Some(Value::ArrayValue(list)) => list.values.iter().map(child).collect(),
        Some(Value::KvlistValue(map)) => map
            .values
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.as_ref().map_or(Json::Null, child)))
            .collect(),
    }
}

//! `json_parser`: the keys of an object become fields. Numbers are floating, as the Collector reads them, unless `parse_ints` keeps
//! whole ones whole.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

use super::Unfit;
use super::entry::{Entry, map_value};
use crate::config::Parse;

pub(super) fn run(entry: &mut Entry, parse_ints: bool, parse: &Parse) -> Result<(), Unfit> {
    let text = entry.text(&parse.from).ok_or(Unfit)?;
    let object = object(text, parse_ints)?;
    entry.set(&parse.to, map_value(object));
    Ok(())
}

/// The pairs of an object.
pub(super) fn object(text: &str, parse_ints: bool) -> Result<Vec<KeyValue>, Unfit> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| Unfit)?;
    Ok(pairs(object, parse_ints))
}

fn pairs(object: serde_json::Map<String, serde_json::Value>, ints: bool) -> Vec<KeyValue> {
    let pair = |(key, value)| KeyValue { key, value: Some(of(value, ints)), ..KeyValue::default() };
    object.into_iter().map(pair).collect()
}

fn of(json: serde_json::Value, ints: bool) -> AnyValue {
    let value = match json {
        serde_json::Value::Null => return AnyValue::default(),
        serde_json::Value::Bool(truth) => Value::BoolValue(truth),
        serde_json::Value::Number(number) => match number.as_i64().filter(|_| ints) {
            Some(number) => Value::IntValue(number),
            None => Value::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::StringValue(text),
        serde_json::Value::Array(items) => Value::ArrayValue(ArrayValue {
            values: items.into_iter().map(|item| of(item, ints)).collect(),
        }),
        serde_json::Value::Object(object) => return map_value(pairs(object, ints)),
    };
    AnyValue { value: Some(value) }
}

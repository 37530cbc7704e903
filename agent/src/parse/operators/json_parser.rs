//! `json_parser`: the keys of an object become fields. Numbers are floating, as the Collector reads them.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

use super::Unfit;
use super::entry::{Entry, map_value, text_value};
use crate::config::Parse;

pub(super) fn run(entry: &mut Entry, parse: &Parse) -> Result<(), Unfit> {
    let text = entry.text(&parse.from).ok_or(Unfit)?;
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|_| Unfit)?;
    entry.set(&parse.to, of(serde_json::Value::Object(object)));
    Ok(())
}

fn of(json: serde_json::Value) -> AnyValue {
    let value = match json {
        serde_json::Value::Null => return AnyValue::default(),
        serde_json::Value::Bool(truth) => Value::BoolValue(truth),
        serde_json::Value::Number(number) => {
            Value::DoubleValue(number.as_f64().unwrap_or_default())
        }
        serde_json::Value::String(text) => return text_value(&text),
        serde_json::Value::Array(items) => {
            Value::ArrayValue(ArrayValue { values: items.into_iter().map(of).collect() })
        }
        serde_json::Value::Object(object) => {
            let pair =
                |(key, value)| KeyValue { key, value: Some(of(value)), ..KeyValue::default() };
            return map_value(object.into_iter().map(pair).collect());
        }
    };
    AnyValue { value: Some(value) }
}

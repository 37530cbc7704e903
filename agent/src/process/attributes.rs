//! Sets and removes attributes: those of items, or those of whoever sent them.

use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use regex::Regex;

use crate::config::{Action, Change, Target, ValueSource};
use crate::record::{Batch, Resource, find_text, value_text};

/// Changes the attributes of every resource.
pub(super) fn of_resources(batch: &mut Batch, actions: &[Action]) {
    match batch {
        Batch::Logs(batches) => {
            for batch in batches {
                let mut attributes = batch.resource.attributes.clone();
                change(&mut attributes, actions);
                batch.resource = Arc::new(Resource { attributes });
            }
        }
        Batch::Spans(spans) => {
            for resource in &mut spans.resource_spans {
                change(&mut resource.resource.get_or_insert_default().attributes, actions);
            }
        }
        Batch::Metrics(metrics) => {
            for resource in &mut metrics.resource_metrics {
                change(&mut resource.resource.get_or_insert_default().attributes, actions);
            }
        }
    }
}

/// Changes the attributes of every span, log record and data point.
pub(super) fn of_items(batch: &mut Batch, actions: &[Action]) {
    match batch {
        Batch::Logs(batches) => {
            let records = batches.iter_mut().flat_map(|batch| &mut batch.records);
            records.for_each(|record| change(&mut record.attributes, actions));
        }
        Batch::Spans(spans) => {
            let scopes =
                spans.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
            let spans = scopes.flat_map(|scope| &mut scope.spans);
            spans.for_each(|span| change(&mut span.attributes, actions));
        }
        Batch::Metrics(metrics) => {
            let resources = metrics.resource_metrics.iter_mut();
            let scopes = resources.flat_map(|resource| &mut resource.scope_metrics);
            let data = scopes
                .flat_map(|scope| &mut scope.metrics)
                .filter_map(|metric| metric.data.as_mut());
            data.for_each(|data| of_points(data, actions));
        }
    }
}

fn of_points(data: &mut Data, actions: &[Action]) {
    let change = |attributes: &mut Vec<KeyValue>| change(attributes, actions);
    match data {
        Data::Gauge(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::Sum(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::Histogram(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
        Data::ExponentialHistogram(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes));
        }
        Data::Summary(data) => {
            data.data_points.iter_mut().for_each(|point| change(&mut point.attributes))
        }
    }
}

fn change(attributes: &mut Vec<KeyValue>, actions: &[Action]) {
    for Action { key, change } in actions {
        match change {
            Change::Insert(source) | Change::Update(source) | Change::Upsert(source) => {
                set(attributes, key, change, source);
            }
            Change::Delete(pattern) => {
                attributes.retain(|attribute| !is_meant(attribute, key, pattern.as_ref()));
            }
            Change::Hash(pattern) => {
                let meant = |attribute: &&mut KeyValue| is_meant(attribute, key, pattern.as_ref());
                attributes.iter_mut().filter(meant).for_each(|attribute| {
                    attribute.value = attribute.value.as_ref().map(hashed);
                });
            }
            Change::Extract(pattern) => extract(attributes, key, pattern),
            Change::Convert(target) => {
                if let Some(attribute) = attributes.iter_mut().find(|pair| pair.key == *key)
                    && let Some(value) = &attribute.value
                    && let Some(converted) = converted(value, *target)
                {
                    attribute.value = Some(AnyValue { value: Some(converted) });
                }
            }
        }
    }
}

fn is_meant(attribute: &KeyValue, key: &str, pattern: Option<&Regex>) -> bool {
    (!key.is_empty() && attribute.key == key)
        || pattern.is_some_and(|pattern| pattern.is_match(&attribute.key))
}

fn set(attributes: &mut Vec<KeyValue>, key: &str, change: &Change, source: &ValueSource) {
    let at = attributes.iter().position(|attribute| attribute.key == key);
    if matches!((change, at), (Change::Insert(_), Some(_)) | (Change::Update(_), None)) {
        return;
    }
    let value: Option<AnyValue> = match source {
        ValueSource::Value(constant) => Some(constant.into()),
        ValueSource::Attribute(from) => {
            let from = attributes.iter().find(|attribute| attribute.key == *from);
            from.and_then(|attribute| attribute.value.clone())
        }
    };
    if let Some(value) = value {
        put(attributes, key, value);
    }
}

fn put(attributes: &mut Vec<KeyValue>, key: &str, value: AnyValue) {
    match attributes.iter_mut().find(|attribute| attribute.key == key) {
        Some(attribute) => attribute.value = Some(value),
        None => {
            let key = key.to_owned();
            attributes.push(KeyValue { key, value: Some(value), ..KeyValue::default() });
        }
    }
}

fn extract(attributes: &mut Vec<KeyValue>, key: &str, pattern: &Regex) {
    let Some(text) = find_text(attributes, key).map(str::to_owned) else { return };
    let Some(captures) = pattern.captures(&text) else { return };
    for (name, group) in pattern.capture_names().zip(captures.iter()).skip(1) {
        if let Some(name) = name {
            let text = group.map_or("", |group| group.as_str()).to_owned();
            put(attributes, name, AnyValue { value: Some(Value::StringValue(text)) });
        }
    }
}

/// The SHA-256 of a value's bytes in hexadecimal, as the Collector makes it: numbers are little endian, lists and maps become empty.
fn hashed(value: &AnyValue) -> AnyValue {
    let digest = |bytes: &[u8]| {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let hex = match &value.value {
        Some(Value::StringValue(text)) if !text.is_empty() => digest(text.as_bytes()),
        Some(Value::BoolValue(truth)) => digest(&[u8::from(*truth)]),
        Some(Value::IntValue(number)) => digest(&number.to_le_bytes()),
        Some(Value::DoubleValue(number)) => digest(&number.to_le_bytes()),
        _ => String::new(),
    };
    AnyValue { value: Some(Value::StringValue(hex)) }
}

/// A value as one of another type; `None` when it is one already, or cannot be.
fn converted(value: &AnyValue, target: Target) -> Option<Value> {
    match (target, value.value.as_ref()?) {
        (Target::Text, Value::StringValue(_))
        | (Target::Int, Value::IntValue(_))
        | (Target::Double, Value::DoubleValue(_)) => None,
        (Target::Text, _) => Some(Value::StringValue(value_text(value))),
        #[expect(clippy::cast_possible_truncation, reason = "an integer was asked for")]
        (Target::Int, Value::DoubleValue(number)) => Some(Value::IntValue(*number as i64)),
        (Target::Int, Value::BoolValue(truth)) => Some(Value::IntValue(i64::from(*truth))),
        (Target::Int, Value::StringValue(text)) => text.parse().ok().map(Value::IntValue),
        #[expect(clippy::cast_precision_loss, reason = "a floating number was asked for")]
        (Target::Double, Value::IntValue(number)) => Some(Value::DoubleValue(*number as f64)),
        (Target::Double, Value::BoolValue(truth)) => {
            Some(Value::DoubleValue(f64::from(u8::from(*truth))))
        }
        (Target::Double, Value::StringValue(text)) => text.parse().ok().map(Value::DoubleValue),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Constant;
    use crate::record::{MetricBatch, text_attribute};

    fn action(key: &str, change: Change) -> Action {
        Action { key: key.to_owned(), change }
    }

    fn text(value: &str) -> ValueSource {
        ValueSource::Value(Constant::Text(value.to_owned()))
    }

    #[test]
    fn each_action_does_its_own() {
        let mut attributes = vec![text_attribute("a", "old"), text_attribute("gone", "x")];
        let copy = |from: &str| ValueSource::Attribute(from.to_owned());
        change(
            &mut attributes,
            &[
                action("a", Change::Insert(text("no"))),
                action("b", Change::Insert(text("inserted"))),
                action("c", Change::Update(text("no"))),
                action("d", Change::Upsert(copy("a"))),
                action("a", Change::Update(text("updated"))),
                action("e", Change::Upsert(copy("nothing"))),
                action("gone", Change::Delete(None)),
            ],
        );
        let found: Vec<_> = attributes
            .iter()
            .map(|pair| (pair.key.as_str(), find_text(&attributes, &pair.key).unwrap()))
            .collect();
        assert_eq!(found, [("a", "updated"), ("b", "inserted"), ("d", "old")]);
    }

    #[test]
    fn patterns_delete_and_hash_and_extract() {
        let hash = |text: &str| hashed(text_attribute("k", text).value.as_ref().unwrap());
        let mut attributes = ["user.id", "user.name", "secret_a", "secret_b", "url"]
            .map(|key| text_attribute(key, "GET /cart/12"))
            .to_vec();
        let regex = |text: &str| Regex::new(text).unwrap();
        change(
            &mut attributes,
            &[
                action("", Change::Delete(Some(regex("^secret_")))),
                action("user.name", Change::Hash(Some(regex("^user\\.id$")))),
                action(
                    "url",
                    Change::Extract(regex("(?P<method>\\w+) /(?P<page>\\w+)(?P<none>x)?")),
                ),
                action("missing", Change::Extract(regex("(?P<method>.*)"))),
            ],
        );
        let keys: Vec<_> = attributes.iter().map(|pair| pair.key.as_str()).collect();
        assert_eq!(keys, ["user.id", "user.name", "url", "method", "page", "none"]);
        let expected = hash("GET /cart/12");
        assert_eq!(attributes[0].value, Some(expected.clone()));
        assert_eq!(attributes[1].value, Some(expected));
        assert_eq!(find_text(&attributes, "page"), Some("cart"));
        // As sha256sum says of "a".
        let of_a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert_eq!(hash("a").value, Some(Value::StringValue(of_a.to_owned())));
    }

    #[test]
    fn values_are_converted_where_they_can_be() {
        let convert = |constant: Constant, target| {
            let value: AnyValue = (&constant).into();
            let mut attributes =
                vec![KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() }];
            change(&mut attributes, &[action("k", Change::Convert(target))]);
            attributes.remove(0).value.and_then(|value| value.value)
        };
        let text = |text: &str| Constant::Text(text.to_owned());
        assert_eq!(convert(text("12"), Target::Int), Some(Value::IntValue(12)));
        assert_eq!(convert(text("x"), Target::Int), Some(Value::StringValue("x".to_owned())));
        assert_eq!(convert(Constant::Float(1.9), Target::Int), Some(Value::IntValue(1)));
        assert_eq!(convert(Constant::Bool(true), Target::Double), Some(Value::DoubleValue(1.0)));
        assert_eq!(convert(text("1.5"), Target::Double), Some(Value::DoubleValue(1.5)));
        assert_eq!(
            convert(Constant::Int(7), Target::Text),
            Some(Value::StringValue("7".to_owned()))
        );
    }

    #[test]
    fn items_and_resources_are_told_apart() {
        let mut metrics = MetricBatch::default();
        metrics.resource_metrics.push(crate::receive::testing::one_gauge_point());
        let mut batch = Batch::Metrics(metrics);
        of_items(&mut batch, &[action("item", Change::Insert(text("1")))]);
        of_resources(&mut batch, &[action("resource", Change::Insert(text("2")))]);
        let Batch::Metrics(metrics) = batch else { panic!("{batch:?}") };
        let resource = &metrics.resource_metrics[0];
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(find_text(attributes, "resource"), Some("2"));
        assert_eq!(find_text(attributes, "item"), None);
        let Some(Data::Gauge(gauge)) = &resource.scope_metrics[0].metrics[0].data else {
            panic!("{resource:?}")
        };
        assert_eq!(find_text(&gauge.data_points[0].attributes, "item"), Some("1"));
    }
}

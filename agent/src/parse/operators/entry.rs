//! A log record on its way through the operators, with the attributes of whoever wrote it.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

use crate::config::{Constant, Field, Root};
use crate::record::{Body, LogRecord};

/// A record, and who wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The record.
    pub record: LogRecord,
    /// The attributes of whoever wrote it.
    pub resource: Vec<KeyValue>,
    /// The number of the line that it began with.
    pub line: u64,
    /// The line as it was read, blanks at its end included, where the body has something else in its place: it may be a part of a
    /// longer one whose words and characters were cut in two.
    pub raw: Option<Bytes>,
    /// Whether blanks at the end of a line are none of it.
    pub trims_end: bool,
}

impl Entry {
    /// The text of a field, if there is one there.
    pub(super) fn text(&self, field: &Field) -> Option<&str> {
        if let (Root::Body, [], Body::Text(text)) =
            (field.root, field.keys.as_slice(), &self.record.body)
        {
            return Some(text.as_str());
        }
        match self.find(field)?.value.as_ref()? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// What a field holds.
    pub(super) fn get(&self, field: &Field) -> Option<AnyValue> {
        match (field.root, field.keys.as_slice(), &self.record.body) {
            (Root::Body, [], Body::Text(text)) => Some(text_value(text.as_str())),
            (Root::Attributes, [], _) => Some(map_value(self.record.attributes.clone())),
            (Root::Resource, [], _) => Some(map_value(self.resource.clone())),
            _ => self.find(field).cloned(),
        }
    }

    /// Takes away what a field holds.
    pub(super) fn take(&mut self, field: &Field) -> Option<AnyValue> {
        let (last, path) = match field.keys.split_last() {
            Some(keys) => keys,
            None => {
                let held = self.get(field)?;
                match field.root {
                    Root::Body => self.record.body = Body::Value(AnyValue::default()),
                    Root::Attributes => self.record.attributes.clear(),
                    Root::Resource => self.resource.clear(),
                }
                return Some(held);
            }
        };
        let mut map = self.root_mut(field.root, false)?;
        for key in path {
            map = as_map(map.iter_mut().find(|pair| pair.key == *key)?.value.as_mut()?)?;
        }
        let at = map.iter().position(|pair| pair.key == *last)?;
        map.remove(at).value
    }

    /// Puts a value into a field, with whatever maps it takes to come there. A map that is put into a whole part is
    /// merged into it, key by key.
    pub(super) fn set(&mut self, field: &Field, value: AnyValue) {
        let Some((last, path)) = field.keys.split_last() else {
            return self.set_whole(field.root, value);
        };
        let Some(mut map) = self.root_mut(field.root, true) else { return };
        for key in path {
            // What is no map makes way for one.
            let is_map = lookup(map, key)
                .is_some_and(|held| matches!(held.value, Some(Value::KvlistValue(_))));
            if !is_map {
                put(map, key, map_value(Vec::new()));
            }
            let found = map.iter_mut().find(|pair| pair.key == *key);
            let Some(below) = found.and_then(|pair| as_map(pair.value.as_mut()?)) else { return };
            map = below;
        }
        put(map, last, value);
    }

    /// Puts a value in the body's place.
    pub(super) fn replace_body(&mut self, value: AnyValue) {
        self.record.body = match value.value {
            Some(Value::StringValue(text)) => Body::Text(text.into()),
            value => Body::Value(AnyValue { value }),
        };
    }

    fn set_whole(&mut self, root: Root, value: AnyValue) {
        match (root, value.value) {
            (Root::Body, Some(Value::StringValue(text))) => {
                self.record.body = Body::Text(text.into())
            }
            (_, Some(Value::KvlistValue(list))) => {
                let Some(map) = self.root_mut(root, true) else { return };
                for KeyValue { key, value, .. } in list.values {
                    put(map, &key, value.unwrap_or_default());
                }
            }
            (Root::Body, value) => self.record.body = Body::Value(AnyValue { value }),
            // Attributes are a map; nothing else can stand there.
            (Root::Attributes | Root::Resource, _) => {}
        }
    }

    fn find(&self, field: &Field) -> Option<&AnyValue> {
        let (map, keys) = match (field.root, &self.record.body) {
            (Root::Attributes, _) => (self.record.attributes.as_slice(), field.keys.as_slice()),
            (Root::Resource, _) => (self.resource.as_slice(), field.keys.as_slice()),
            (Root::Body, Body::Text(_)) => return None,
            (Root::Body, Body::Value(body)) => {
                match (field.keys.as_slice(), body.value.as_ref()?) {
                    ([], _) => return Some(body),
                    (keys, Value::KvlistValue(list)) => (list.values.as_slice(), keys),
                    _ => return None,
                }
            }
        };
        let (first, rest) = keys.split_first()?;
        let mut found = lookup(map, first)?;
        for key in rest {
            let Value::KvlistValue(list) = found.value.as_ref()? else { return None };
            found = lookup(&list.values, key)?;
        }
        Some(found)
    }

    /// The map of a part. A body that is none is made one where something is to be put into it.
    fn root_mut(&mut self, root: Root, make: bool) -> Option<&mut Vec<KeyValue>> {
        match root {
            Root::Attributes => Some(&mut self.record.attributes),
            Root::Resource => Some(&mut self.resource),
            Root::Body => {
                let is_map = matches!(
                    &self.record.body,
                    Body::Value(AnyValue { value: Some(Value::KvlistValue(_)) })
                );
                if !is_map && make {
                    self.record.body = Body::Value(map_value(Vec::new()));
                }
                match &mut self.record.body {
                    Body::Value(body) => as_map(body),
                    Body::Text(_) => None,
                }
            }
        }
    }
}

fn lookup<'a>(map: &'a [KeyValue], key: &str) -> Option<&'a AnyValue> {
    map.iter().find(|pair| pair.key == key)?.value.as_ref()
}

fn as_map(value: &mut AnyValue) -> Option<&mut Vec<KeyValue>> {
    match value.value.as_mut()? {
        Value::KvlistValue(list) => Some(&mut list.values),
        _ => None,
    }
}

/// Sets a key, whether it is there or not.
pub(super) fn put(map: &mut Vec<KeyValue>, key: &str, value: AnyValue) {
    match map.iter_mut().find(|pair| pair.key == key) {
        Some(pair) => pair.value = Some(value),
        None => map.push(pair(key, value)),
    }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

pub(super) fn text_value(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.to_owned())) }
}

pub(super) fn map_value(values: Vec<KeyValue>) -> AnyValue {
    AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
}

impl From<&Constant> for AnyValue {
    fn from(constant: &Constant) -> Self {
        let value = match constant {
            Constant::Text(text) => Value::StringValue(text.clone()),
            Constant::Int(number) => Value::IntValue(*number),
            Constant::Float(number) => Value::DoubleValue(*number),
            Constant::Bool(truth) => Value::BoolValue(*truth),
            Constant::List(list) => {
                Value::ArrayValue(ArrayValue { values: list.iter().map(Self::from).collect() })
            }
            Constant::Map(map) => {
                return map_value(map.iter().map(|(key, value)| pair(key, value.into())).collect());
            }
        };
        Self { value: Some(value) }
    }
}

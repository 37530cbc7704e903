//! How a record is written as Loki's line.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};

use super::logfmt;
use crate::export::go_text::{as_text, write_json, write_json_map, write_json_text};
use crate::record::{Body, LogRecord, text_attribute};

/// The formats that the hint `loki.format` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// An object.
    Json,
    /// Keys and values with `=` between.
    Logfmt,
    /// The body alone.
    Raw,
}

/// What a line is made of.
pub(super) struct Source<'a> {
    pub(super) format: Format,
    pub(super) record: &'a LogRecord,
    /// An attribute `level` that it gets beside those that it has.
    pub(super) level: Option<&'static str>,
    pub(super) scope: Option<&'a InstrumentationScope>,
    pub(super) resource: &'a [KeyValue],
    /// What is left of the resource, in JSON; empty when nothing is.
    pub(super) resource_json: &'a str,
    /// Whether an attribute, of the record or of the resource, is left for the line.
    pub(super) is_left: &'a dyn Fn(&str) -> bool,
}

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "logfmt" => Some(Self::Logfmt),
            "raw" => Some(Self::Raw),
            _ => None,
        }
    }
}

impl Source<'_> {
    /// The attributes of the record that are left.
    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        let level = self.level.map(|level| text_attribute("level", level));
        let all = self.record.attributes.iter().cloned().chain(level);
        all.filter(|attribute| (self.is_left)(&attribute.key)).collect()
    }

    /// The scope, if it has a name.
    pub(super) fn named_scope(&self) -> Option<&InstrumentationScope> {
        self.scope.filter(|scope| !scope.name.is_empty())
    }
}

pub(super) fn write(source: &Source<'_>) -> String {
    match source.format {
        Format::Json => json(source),
        Format::Logfmt => logfmt::write(source),
        Format::Raw => match &source.record.body {
            Body::Text(text) => text.as_str().to_owned(),
            Body::Value(value) => as_text(value),
        },
    }
}

/// Attributes as an object; empty when none is left.
pub(super) fn attributes_json(attributes: &[KeyValue], is_left: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    if attributes.iter().any(|attribute| is_left(&attribute.key)) {
        write_json_map(&mut out, attributes, is_left);
    }
    out
}

/// The keys in the Collector's order; what is empty is left out.
fn json(source: &Source<'_>) -> String {
    let record = source.record;
    let mut out = String::with_capacity(256);
    out.push('{');
    match &record.body {
        Body::Text(text) => {
            key(&mut out, "body");
            write_json_text(&mut out, text.as_str());
        }
        Body::Value(AnyValue { value: None }) => {}
        Body::Value(value) => {
            key(&mut out, "body");
            write_json(&mut out, value);
        }
    }
    if let Some(id) = record.trace_id {
        key(&mut out, "traceid");
        _ = write!(out, "\"{id}\"");
    }
    if let Some(id) = record.span_id {
        key(&mut out, "spanid");
        _ = write!(out, "\"{id}\"");
    }
    text(&mut out, "severity", &record.severity_text);
    if record.flags != 0 {
        key(&mut out, "flags");
        _ = write!(out, "{}", record.flags);
    }
    let attributes = match source.level {
        // Only what is added costs a copy.
        Some(level) if (source.is_left)("level") => {
            let mut all = record.attributes.clone();
            all.push(text_attribute("level", level));
            attributes_json(&all, source.is_left)
        }
        _ => attributes_json(&record.attributes, source.is_left),
    };
    object(&mut out, "attributes", &attributes);
    object(&mut out, "resources", source.resource_json);
    if let Some(scope) = source.named_scope() {
        key(&mut out, "instrumentation_scope");
        out.push('{');
        text(&mut out, "name", &scope.name);
        text(&mut out, "version", &scope.version);
        object(&mut out, "attributes", &attributes_json(&scope.attributes, |_| true));
        out.push('}');
    }
    out.push('}');
    out
}

fn key(out: &mut String, key: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    _ = write!(out, "\"{key}\":");
}

fn text(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        key(out, name);
        write_json_text(out, text);
    }
}

fn object(out: &mut String, name: &str, json: &str) {
    if !json.is_empty() {
        key(out, name);
        *out += json;
    }
}

/// The body, if it is a text.
pub(super) fn body_text(body: &Body) -> Option<&str> {
    match body {
        Body::Text(text) => Some(text.as_str()),
        Body::Value(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text),
        Body::Value(_) => None,
    }
}

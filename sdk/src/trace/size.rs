//! Roughly what a span takes in memory while it waits; the queue is bounded by the sum.

use std::mem::size_of;

use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

pub(super) fn bytes_of(span: &SpanData) -> usize {
    let events: usize = span
        .events
        .iter()
        .map(|event| size_of_val(event) + event.name.len() + attributes(&event.attributes))
        .sum();
    let links: usize =
        span.links.iter().map(|link| size_of_val(link) + attributes(&link.attributes)).sum();
    size_of::<SpanData>() + span.name.len() + attributes(&span.attributes) + events + links
}

fn attributes(attributes: &[KeyValue]) -> usize {
    attributes
        .iter()
        .map(|attribute| {
            size_of::<KeyValue>() + attribute.key.as_str().len() + text_bytes(&attribute.value)
        })
        .sum()
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => {
            texts.iter().map(|text| size_of_val(text) + text.as_str().len()).sum()
        }
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::F64(values)) => size_of_val(values.as_slice()),
        _ => 0,
    }
}

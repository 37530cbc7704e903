//! What a span holds while it is recorded, and while it waits to be exported.

use std::borrow::Cow;
use std::mem::size_of;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Request, Tracer};

/// A span that ended, or will be one as it is.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(super) context: SpanContext,
    pub(super) tracer: Tracer,
    pub(super) parent_span_id: SpanId,
    pub(super) parent_span_is_remote: bool,
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    pub(super) start_time: SystemTime,
    pub(super) end_time: SystemTime,
    pub(super) content: Content,
    pub(super) dropped_attributes: u32,
    pub(super) events: SpanEvents,
    pub(super) links: SpanLinks,
    pub(super) status: Status,
}

/// What a span says.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Of a request's span: what it says of the request.
    pub(crate) request: Option<Request>,
    /// Whatever else it says; it wins over what is said of the request.
    pub(crate) attributes: Vec<KeyValue>,
}

impl Content {
    /// All of it, as attributes.
    pub(crate) fn to_attributes(&self) -> Vec<KeyValue> {
        let mut all = self.request.as_ref().map(Request::attributes).unwrap_or_default();
        all.extend_from_slice(&self.attributes);
        all
    }
}

impl Ended {
    /// The span as exporters want it. It takes a while: call it where nobody waits.
    pub(crate) fn into_data(self) -> SpanData {
        let mut of = self;
        let limits = *of.tracer.limits();
        if let Some(request) = of.content.request.take() {
            let said = std::mem::replace(&mut of.content.attributes, request.attributes());
            said.into_iter().for_each(|attribute| limits.set_attribute(&mut of, attribute));
            let max = limits.counts.max_attributes_per_span;
            of.dropped_attributes += limits.bound(&mut of.content.attributes, max);
        }
        SpanData {
            span_context: of.context,
            parent_span_id: of.parent_span_id,
            parent_span_is_remote: of.parent_span_is_remote,
            span_kind: of.kind,
            name: of.name,
            start_time: of.start_time,
            end_time: of.end_time,
            attributes: of.content.attributes,
            dropped_attributes_count: of.dropped_attributes,
            events: of.events,
            links: of.links,
            status: of.status,
            instrumentation_scope: of.tracer.scope().clone(),
        }
    }

    /// Roughly what the span takes in memory while it waits.
    pub(crate) fn bytes(&self) -> usize {
        let Self { name, content, events, links, .. } = self;
        let events: usize = events
            .iter()
            .map(|event| size_of_val(event) + event.name.len() + attributes(&event.attributes))
            .sum();
        let links: usize = links
            .iter()
            .map(|link| {
                size_of_val(link) + attributes(&link.attributes) + state_bytes(&link.span_context)
            })
            .sum();
        let request = content.request.as_ref().map_or(0, Request::heap_bytes);
        let own = attributes(&content.attributes);
        let state = state_bytes(&self.context);
        size_of::<Self>() + name.len() + request + own + events + links + state
    }
}

/// What a span keeps of its caller's `tracestate`: callers decide how much that is.
fn state_bytes(context: &SpanContext) -> usize {
    let members = context.trace_state().into_iter();
    members.map(|(key, value)| size_of::<(String, String)>() + key.len() + value.len()).sum()
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

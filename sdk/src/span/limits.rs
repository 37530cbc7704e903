//! What a span may hold at most; what is over it is dropped and counted in the span.

use opentelemetry::trace::{Event, Link};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanEvents, SpanLimits, SpanLinks};

use super::Ended;

/// The SDK's limits for counts, and the one for the length of values, which it does not have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) counts: SpanLimits,
    /// In characters, for texts and each text of a list; `None` is no limit.
    pub(crate) value_length: Option<usize>,
}

impl Limits {
    pub(super) fn set_attribute(&self, span: &mut Ended, mut attribute: KeyValue) {
        if span.content.request.as_mut().is_some_and(|request| request.takes(&attribute)) {
            return;
        }
        self.cut(&mut attribute);
        let known = span.content.attributes.iter_mut().find(|known| known.key == attribute.key);
        if let Some(known) = known {
            known.value = attribute.value;
        } else if span.content.attributes.len() < count(self.counts.max_attributes_per_span) {
            span.content.attributes.push(attribute);
        } else {
            span.dropped_attributes += 1;
        }
    }

    pub(super) fn push_event(&self, events: &mut SpanEvents, mut event: Event) {
        if events.events.len() < count(self.counts.max_events_per_span) {
            event.dropped_attributes_count +=
                self.bound(&mut event.attributes, self.counts.max_attributes_per_event);
            events.events.push(event);
        } else {
            events.dropped_count += 1;
        }
    }

    pub(super) fn push_link(&self, links: &mut SpanLinks, mut link: Link) {
        if links.links.len() < count(self.counts.max_links_per_span) {
            link.dropped_attributes_count +=
                self.bound(&mut link.attributes, self.counts.max_attributes_per_link);
            links.links.push(link);
        } else {
            links.dropped_count += 1;
        }
    }

    pub(super) fn events(&self, all: Vec<Event>) -> SpanEvents {
        let mut events = SpanEvents::default();
        all.into_iter().for_each(|event| self.push_event(&mut events, event));
        events
    }

    pub(super) fn links(&self, all: Vec<Link>) -> SpanLinks {
        let mut links = SpanLinks::default();
        all.into_iter().for_each(|link| self.push_link(&mut links, link));
        links
    }

    /// Drops the attributes that are too many and cuts those that are too long; says how many were dropped.
    pub(super) fn bound(&self, attributes: &mut Vec<KeyValue>, max: u32) -> u32 {
        let dropped = attributes.len().saturating_sub(count(max));
        attributes.truncate(count(max));
        if self.value_length.is_some() {
            attributes.iter_mut().for_each(|attribute| self.cut(attribute));
        }
        u32::try_from(dropped).unwrap_or(u32::MAX)
    }

    fn cut(&self, attribute: &mut KeyValue) {
        let Some(max) = self.value_length else { return };
        match &mut attribute.value {
            Value::String(text) => cut_text(text, max),
            Value::Array(Array::String(texts)) => {
                texts.iter_mut().for_each(|text| cut_text(text, max));
            }
            _ => {}
        }
    }
}

fn cut_text(text: &mut StringValue, max_characters: usize) {
    // No character is shorter than a byte.
    if text.as_str().len() <= max_characters {
        return;
    }
    if let Some((end, _)) = text.as_str().char_indices().nth(max_characters) {
        *text = text.as_str()[..end].to_owned().into();
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

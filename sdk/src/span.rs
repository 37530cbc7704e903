//! The span of our own: what the HTTP layers, `tracing` spans and users of the OpenTelemetry API all get.
//!
//! It takes the SDK's samplers and limits, adds the specification's limit for the length of values, and
//! goes to a [`Sink`] of ours when it ends: one move, no processor's `on_start`, no copy. `tracer` makes
//! it, `limits` bounds it, `current` finds the tracer that is in force, `carrier` lets a `tracing` span
//! carry one that exists already.

mod carrier;
mod current;
mod limits;
#[cfg(test)]
mod tests;
mod tracer;

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::time::now;
use opentelemetry::trace::{Event, Link, SpanContext, Status};
use opentelemetry_sdk::trace::SpanData;

pub(crate) use carrier::{CARRIER, carry};
pub(crate) use current::{Current, InForce, current};
pub(crate) use limits::Limits;
pub(crate) use tracer::{Parent, Provider, Sampling, Start, Tracer};

/// Where spans go when they end. It must not block.
pub(crate) trait Sink: fmt::Debug + Send + Sync {
    /// Takes a sampled span that ended.
    fn take(&self, span: SpanData);
}

/// A span that is recorded until it ends, or one that only has ids.
#[derive(Debug)]
pub(crate) struct Span {
    context: SpanContext,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct Recording {
    data: SpanData,
    tracer: Tracer,
}

impl Span {
    /// A span that is nobody's parent: telemetry is suppressed here, or over.
    fn none() -> Self {
        Self::unrecorded(SpanContext::NONE)
    }

    fn unrecorded(context: SpanContext) -> Self {
        Self { context, recording: None }
    }

    fn recorded(data: SpanData, tracer: Tracer) -> Self {
        Self { context: data.span_context.clone(), recording: Some(Recording { data, tracer }) }
    }

    fn record(&mut self, change: impl FnOnce(&mut SpanData, &Limits)) {
        if let Some(Recording { data, tracer }) = &mut self.recording {
            change(data, tracer.limits());
        }
    }

    fn finish(&mut self, end: impl FnOnce() -> SystemTime) {
        let Some(Recording { mut data, tracer }) = self.recording.take() else { return };
        // A sampler may have a span recorded for those in the process only.
        if data.span_context.is_sampled() {
            data.end_time = end();
            tracer.sink().take(data);
        }
    }
}

impl opentelemetry::trace::Span for Span {
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        self.record(|data, limits| {
            limits.push_event(&mut data.events, Event::new(name, timestamp, attributes, 0));
        });
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    /// A value that was set before under the same key is replaced.
    fn set_attribute(&mut self, attribute: KeyValue) {
        self.record(|data, limits| limits.set_attribute(data, attribute));
    }

    /// `Ok` is final, and the last error counts.
    fn set_status(&mut self, status: Status) {
        self.record(|data, _| {
            if data.status != Status::Ok && status != Status::Unset {
                data.status = status;
            }
        });
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.record(|data, _| data.name = new_name.into());
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.record(|data, limits| {
            limits.push_link(&mut data.links, Link::new(span_context, attributes, 0));
        });
    }

    fn end(&mut self) {
        self.finish(now);
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.finish(|| timestamp);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish(now);
    }
}

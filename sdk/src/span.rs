//! The span of our own: what the HTTP layers, `tracing` spans and users of the OpenTelemetry API all get.
//!
//! It takes the SDK's samplers and limits, adds the specification's limit for the length of values, and
//! goes to a [`Sink`] of ours when it ends: no processor's `on_start`, no copy of its data. `tracer` makes
//! it, `recording` is what it holds, `request` what it holds of a request, `authority` reads one for it, `limits` bounds it,
//! `carrier` lets a `tracing` span carry one that exists already, `ending` tells it how its request went, `copied`
//! tells its events what `tracing` has no place for.

mod authority;
mod carrier;
mod copied;
mod ending;
mod limits;
mod recording;
mod request;
#[cfg(test)]
mod tests;
mod tracer;

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::time::now;
use opentelemetry::trace::{Event, Link, SpanContext, Status};

pub(crate) use authority::unbracketed;
pub(crate) use carrier::{CARRIER, enter, handed_over};
pub(crate) use copied::tell_next_event;
pub(crate) use ending::with_status;
pub(crate) use limits::Limits;
pub(crate) use recording::{Content, Ended};
pub(crate) use request::{Request, Text};
pub(crate) use tracer::{Parent, Provider, Sampling, Start, Tracer};

/// Where spans go when they end. It must not block.
pub(crate) trait Sink: fmt::Debug + Send + Sync {
    /// Takes a sampled span that ended out of its place: it is large, and each move is a copy.
    fn take(&self, span: &mut Option<Ended>);
}

/// A span that is recorded until it ends, or one that only has ids.
#[derive(Debug)]
pub(crate) struct Span {
    context: SpanContext,
    recording: Option<Ended>,
}

impl Span {
    /// A span that only has ids; with invalid ones, it is nobody's parent.
    pub(crate) fn unrecorded(context: SpanContext) -> Self {
        Self { context, recording: None }
    }

    fn record(&mut self, change: impl FnOnce(&mut Ended, Limits)) {
        if let Some(recording) = &mut self.recording {
            let limits = *recording.tracer.limits();
            change(recording, limits);
        }
    }

    fn finish(&mut self, end: impl FnOnce() -> SystemTime) {
        let Some(recording) = &mut self.recording else { return };
        recording.end_time = end();
        if let Some(request) = &mut recording.content.request {
            request.answered(ending::told_status());
        }
        // A sampler may have a span recorded for those in the process only.
        if self.context.is_sampled() {
            let tracer = recording.tracer.clone();
            tracer.sink().take(&mut self.recording);
        }
        self.recording = None;
    }
}

impl opentelemetry::trace::Span for Span {
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        mut attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        copied::add_told(&mut attributes);
        self.record(|recording, limits| {
            limits.push_event(&mut recording.events, Event::new(name, timestamp, attributes, 0));
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
        self.record(|recording, limits| limits.set_attribute(recording, attribute));
    }

    /// `Ok` is final, and the last error counts.
    fn set_status(&mut self, status: Status) {
        self.record(|recording, _| {
            if recording.status != Status::Ok && status != Status::Unset {
                recording.status = status;
            }
        });
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.record(|recording, _| recording.name = new_name.into());
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.record(|recording, limits| {
            limits.push_link(&mut recording.links, Link::new(span_context, attributes, 0));
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

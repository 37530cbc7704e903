//! Starts the span of an exchange, and puts it where the work will find it.

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt as _};
use tracing::info_span;
use tracing::span::EnteredSpan;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::counted::Counted;
use super::current::InForce;
use super::exchange::{Begin, Exchange};
use super::foreign;
use crate::span::{Content, Parent, Span, Start, enter, handed_over};

/// Where the span of an exchange is to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// In a `tracing` span, which brings the OpenTelemetry context along.
    #[default]
    TracingSpan,
    /// In the OpenTelemetry context only.
    Context,
}

/// An exchange whose span is in its place, and whose work has not begun.
pub(super) struct Started {
    pub(super) exchange: Exchange,
    /// The `tracing` span that carries the span, entered since it was given it.
    pub(super) entered: Option<EnteredSpan>,
}

/// A server's span continues the caller's trace, or begins one: whatever span is active around the
/// accept loop is no ancestor of it.
pub(super) fn server<F>(
    current: Option<&InForce>,
    place: Place,
    caller: Caller,
    begin: Begin<F>,
) -> Started
where
    F: Fn(&mut Content),
{
    let Some(current) = current else { return Started::of(foreign::server(caller, begin)) };
    let has_baggage = caller.has_baggage();
    let Caller { parent, links, context } = caller;
    let parent = parent.as_ref().map_or(Parent::None, Parent::Remote);
    let Begin { kind, name, content } = begin;
    let start = Start { kind, name, parent, links, content };
    match place {
        Place::Context => Started::of(in_context(current, start, &context)),
        Place::TracingSpan => {
            let carrier = info_span!(target: "spanline::http", parent: None, "spanline.carrier");
            if has_baggage {
                // Cannot fail: the carrier is new.
                let _ = carrier.set_parent(context.clone());
            }
            carried(carrier, current.tracer.open(start), &context)
        }
    }
}

/// A client's span is a child of the span that is active.
pub(super) fn client<F>(current: Option<&InForce>, place: Place, begin: Begin<F>) -> Started
where
    F: Fn(&mut Content),
{
    let Some(current) = current else { return Started::of(foreign::client(begin)) };
    let context = Context::current();
    let Begin { kind, name, content } = begin;
    let start = Start { kind, name, parent: Parent::Context(&context), links: Vec::new(), content };
    match place {
        Place::Context => Started::of(in_context(current, start, &context)),
        Place::TracingSpan => {
            let carrier = info_span!(target: "spanline::http", "spanline.carrier");
            carried(carrier, current.tracer.open(start), &context)
        }
    }
}

/// Starts a span in the context. It is large, so it is not moved about before.
#[inline]
fn in_context<F>(current: &InForce, start: Start<'_, F>, around: &Context) -> Exchange
where
    F: Fn(&mut Content),
{
    match current.tracer.decide(&start) {
        Ok(sample) => {
            let context = around.with_span(current.tracer.record(start, sample, None));
            Exchange::in_context(context, true)
        }
        // The ids are all there is to it, and need no box.
        Err(ids) if ids.is_valid() => {
            Exchange::in_context(around.with_remote_span_context(ids), false)
        }
        Err(_) => Exchange::untraced(),
    }
}

/// Puts a span in a `tracing` span, which is entered for that; in the context, if that does not go.
#[inline]
fn carried(carrier: tracing::Span, span: Span, around: &Context) -> Started {
    if !span.span_context().is_valid() {
        return Started::of(Exchange::untraced());
    }
    let is_recorded = span.is_recording();
    if let Some((entered, context)) = enter(carrier, span) {
        let exchange = Exchange::in_context(context, is_recorded);
        return Started { exchange, entered: Some(entered) };
    }
    let context = match handed_over() {
        Some(span) => around.with_span(span),
        None => around.clone(),
    };
    Started::of(Exchange::in_context(context, is_recorded))
}

impl Started {
    /// For a request that has no span.
    pub(super) fn nothing() -> Self {
        Self::of(Exchange::untraced())
    }

    fn of(exchange: Exchange) -> Self {
        Self { exchange, entered: None }
    }

    /// Has the exchange observed at its end.
    pub(super) fn count(&mut self, counted: Counted) {
        self.exchange.count(counted);
    }

    /// Does the first piece of the work, in the span.
    #[inline]
    pub(super) fn run<T>(mut self, work: impl FnOnce(&Exchange) -> T) -> (Exchange, T) {
        let result = self.exchange.begin(self.entered, work);
        (self.exchange, result)
    }
}

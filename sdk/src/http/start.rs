//! Starts the span of an exchange, and puts it where the work will find it.

use opentelemetry::trace::{Span as _, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::exchange::{Begin, Exchange};
use super::foreign;
use crate::span::{InForce, Parent, Span, Start, carry};

/// Where the span of an exchange is to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// In a `tracing` span, which brings the OpenTelemetry context along.
    #[default]
    TracingSpan,
    /// In the OpenTelemetry context only.
    Context,
}

/// A server's span continues the caller's trace, or begins one: whatever span is active around the
/// accept loop is no ancestor of it.
pub(super) fn server<F>(
    current: Option<&InForce>,
    place: Place,
    caller: Caller,
    begin: Begin<F>,
) -> Exchange
where
    F: FnOnce() -> Vec<KeyValue>,
{
    let Some(current) = current else { return foreign::server(caller, begin) };
    let parent = caller.parent.as_ref().map_or(Parent::None, Parent::Remote);
    let span = open(current, parent, begin, caller.links.clone());
    put(span, place, &caller.context, || {
        let carrier = info_span!(target: "spanline::http", parent: None, "spanline.carrier");
        if caller.has_baggage() {
            // Cannot fail: the carrier is new.
            let _ = carrier.set_parent(caller.context.clone());
        }
        carrier
    })
}

/// A client's span is a child of the span that is active.
pub(super) fn client<F>(current: Option<&InForce>, place: Place, begin: Begin<F>) -> Exchange
where
    F: FnOnce() -> Vec<KeyValue>,
{
    let Some(current) = current else { return foreign::client(begin) };
    let context = Context::current();
    let span = open(current, Parent::Context(&context), begin, Vec::new());
    put(span, place, &context, || info_span!(target: "spanline::http", "spanline.carrier"))
}

fn open<F>(
    current: &InForce,
    parent: Parent<'_>,
    begin: Begin<F>,
    links: Vec<opentelemetry::trace::Link>,
) -> Span
where
    F: FnOnce() -> Vec<KeyValue>,
{
    let Begin { kind, name, attributes } = begin;
    current.tracer.open(Start { kind, name, parent, links, attributes })
}

fn put(
    span: Span,
    place: Place,
    around: &Context,
    carrier: impl FnOnce() -> tracing::Span,
) -> Exchange {
    if !span.span_context().is_valid() {
        return Exchange::untraced();
    }
    let is_recorded = span.is_recording();
    let span = match place {
        Place::Context => span,
        Place::TracingSpan => {
            let carrier = carrier();
            match carry(&carrier, span) {
                Ok(context) => return Exchange::carried(carrier, context, is_recorded),
                Err(span) => span,
            }
        }
    };
    let context = if is_recorded {
        around.with_span(span)
    } else {
        // The ids are all there is to it, and need no box.
        around.with_remote_span_context(span.span_context().clone())
    };
    Exchange::in_context(context, is_recorded)
}

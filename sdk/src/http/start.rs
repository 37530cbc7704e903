//! Starts the span of an exchange, and puts it where the work will find it.

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt as _};
use tracing::info_span;
use tracing::span::EnteredSpan;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::current::InForce;
use super::exchange::{Begin, Exchange, Recorded};
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

/// A server's span continues the caller's trace, or begins one: whatever span is active around the
/// accept loop is no ancestor of it.
///
/// The exchange, which is new, gets the span. What comes back is the `tracing` span that carries it, if there is one,
/// entered since it was given it: the work is to [begin](Exchange::begin) in there.
#[inline]
pub(super) fn server<F>(
    current: Option<&InForce>,
    place: Place,
    caller: Caller,
    begin: Begin<F>,
    exchange: &mut Exchange,
) -> Option<EnteredSpan>
where
    F: Fn(&mut Content),
{
    let Some(current) = current else {
        *exchange = foreign::server(caller, begin);
        return None;
    };
    let has_baggage = caller.has_baggage();
    let Caller { parent, links, context } = caller;
    let parent = parent.as_ref().map_or(Parent::None, Parent::Remote);
    let Begin { kind, name, content } = begin;
    let start = Start { kind, name, parent, links, content };
    match place {
        Place::Context => in_context(current, start, &context, exchange),
        Place::TracingSpan => {
            let carrier = info_span!(target: "spanline::http", parent: None, "spanline.carrier");
            if has_baggage {
                // Cannot fail: the carrier is new.
                let _ = carrier.set_parent(context.clone());
            }
            carried(carrier, current.tracer.open(start), &context, exchange)
        }
    }
}

/// A client's span is a child of the span that is active. For the rest, see [`server`].
#[inline]
pub(super) fn client<F>(
    current: Option<&InForce>,
    place: Place,
    begin: Begin<F>,
    exchange: &mut Exchange,
) -> Option<EnteredSpan>
where
    F: Fn(&mut Content),
{
    let Some(current) = current else {
        *exchange = foreign::client(begin);
        return None;
    };
    let context = Context::current();
    let Begin { kind, name, content } = begin;
    let start = Start { kind, name, parent: Parent::Context(&context), links: Vec::new(), content };
    match place {
        Place::Context => in_context(current, start, &context, exchange),
        Place::TracingSpan => {
            let carrier = info_span!(target: "spanline::http", "spanline.carrier");
            carried(carrier, current.tracer.open(start), &context, exchange)
        }
    }
}

/// Starts a span in the context. It is large, so it is not moved about before.
#[inline]
fn in_context<F>(
    current: &InForce,
    start: Start<'_, F>,
    around: &Context,
    exchange: &mut Exchange,
) -> Option<EnteredSpan>
where
    F: Fn(&mut Content),
{
    match current.tracer.decide(&start) {
        Ok(sample) => {
            let context = around.with_span(current.tracer.record(start, sample, None));
            exchange.run_in(context, Recorded::Ours);
        }
        // The ids are all there is to it, and need no box.
        Err(ids) if ids.is_valid() => {
            exchange.run_in(around.with_remote_span_context(ids), Recorded::No);
        }
        Err(_) => {}
    }
    None
}

/// Puts a span in a `tracing` span, which is entered for that; in the context, if that does not go.
#[inline]
fn carried(
    carrier: tracing::Span,
    span: Span,
    around: &Context,
    exchange: &mut Exchange,
) -> Option<EnteredSpan> {
    if !span.span_context().is_valid() {
        return None;
    }
    let recorded = if span.is_recording() { Recorded::Ours } else { Recorded::No };
    if let Some((entered, context)) = enter(carrier, span) {
        exchange.run_in(context, recorded);
        return Some(entered);
    }
    let context = match handed_over() {
        Some(span) => around.with_span(span),
        None => around.clone(),
    };
    exchange.run_in(context, recorded);
    None
}

//! Spans of exchanges where the `tracing` subscriber is not ours, but has an OpenTelemetry layer: the
//! layer's own tracer makes them.
//!
//! Its sampler sees the name and the kind only; whoever wants more of it calls [`init`](crate::init).

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::exchange::{Begin, Exchange};
use crate::span::Content;

pub(super) fn server<F>(caller: Caller, begin: Begin<F>) -> Exchange
where
    F: FnOnce(&mut Content),
{
    let carrier = info_span!(
        target: "spanline::http",
        parent: None,
        "http.server",
        otel.kind = "server",
        otel.name = &*begin.name,
    );
    let Caller { parent, links, context } = caller;
    let context = match parent {
        Some(parent) => context.with_remote_span_context(parent),
        None => context,
    };
    // Refused only where no OpenTelemetry layer is installed: then there is no trace to continue.
    let _ = carrier.set_parent(context);
    for link in links {
        carrier.add_link(link.span_context);
    }
    started(carrier, begin)
}

pub(super) fn client<F>(begin: Begin<F>) -> Exchange
where
    F: FnOnce(&mut Content),
{
    let carrier = info_span!(
        target: "spanline::http",
        "http.client",
        otel.kind = "client",
        otel.name = &*begin.name,
    );
    started(carrier, begin)
}

fn started<F>(carrier: Span, begin: Begin<F>) -> Exchange
where
    F: FnOnce(&mut Content),
{
    if carrier.is_disabled() {
        return Exchange::untraced();
    }
    let context = carrier.context();
    let is_recorded = context.span().is_recording();
    let exchange = Exchange::carried(carrier, context, is_recorded);
    if is_recorded {
        let mut content = Content::default();
        (begin.content)(&mut content);
        exchange.describe(content.to_attributes());
    }
    exchange
}

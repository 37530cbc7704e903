//! Lets a `tracing` span carry a span that was started already.
//!
//! tracing-opentelemetry starts the OpenTelemetry span of a `tracing` span itself, from what the `tracing`
//! span's fields say. A request's span says more than fields can do cheaply, and its sampler has to see
//! it; so it is started first, and handed over at the moment when the layer asks the tracer for one.

use std::cell::Cell;

use opentelemetry::Context;
use tracing::span::EnteredSpan;

use super::Span;

/// The name that a `tracing` span must have to carry a span of ours.
pub(crate) const CARRIER: &str = "spanline.carrier";

thread_local! {
    static HANDED_OVER: Cell<Option<Span>> = const { Cell::new(None) };
}

/// Enters `carrier`, which carries `span` from then on, and gives back the context that has it.
///
/// `None` leaves the span where it is: the carrier is disabled, has started another, or its layer asks
/// another tracer.
pub(crate) fn enter(
    carrier: tracing::Span,
    span: &mut Option<Span>,
) -> Option<(EnteredSpan, Context)> {
    // The cell is gone while the thread is torn down.
    HANDED_OVER.try_with(|cell| cell.set(span.take())).ok()?;
    // The layer starts the span of what is entered for the first time.
    let entered = carrier.entered();
    *span = handed_over();
    span.is_none().then(|| (entered, Context::current()))
}

/// The span that is being handed over on this thread, for the tracer.
pub(super) fn handed_over() -> Option<Span> {
    HANDED_OVER.try_with(Cell::take).ok().flatten()
}

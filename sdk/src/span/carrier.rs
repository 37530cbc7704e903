//! Lets a `tracing` span carry a span that was started already.
//!
//! tracing-opentelemetry starts the OpenTelemetry span of a `tracing` span itself, from what the `tracing`
//! span's fields say. A request's span says more than fields can do cheaply, and its sampler has to see
//! it; so it is started first, and handed over at the moment when the layer asks the tracer for one.

use std::cell::RefCell;

use opentelemetry::Context;
use tracing::span::EnteredSpan;

use super::Span;

/// The name that a `tracing` span must have to carry a span of ours.
pub(crate) const CARRIER: &str = "spanline.carrier";

thread_local! {
    /// Borrowed for a move only, never while other code runs. A cell would be moved as a whole to look into it.
    static HANDED_OVER: RefCell<Option<Span>> = const { RefCell::new(None) };
}

/// Enters `carrier`, which carries `span` from then on, and gives back the context that has it.
///
/// `None` leaves the span where [`handed_over`] finds it: the carrier is disabled, has started another, or its layer
/// asks another tracer. While the thread is torn down it is not even there.
#[inline]
pub(crate) fn enter(carrier: tracing::Span, span: Span) -> Option<(EnteredSpan, Context)> {
    // The cell is gone while the thread is torn down.
    HANDED_OVER.try_with(|place| *place.borrow_mut() = Some(span)).ok()?;
    // The layer starts the span of what is entered for the first time.
    let entered = carrier.entered();
    let is_left = HANDED_OVER.try_with(|place| place.borrow().is_some()).unwrap_or(false);
    (!is_left).then(|| (entered, Context::current()))
}

/// The span that is being handed over on this thread: for the tracer, or for whom it was left to.
pub(crate) fn handed_over() -> Option<Span> {
    HANDED_OVER.try_with(|place| place.borrow_mut().take()).ok().flatten()
}

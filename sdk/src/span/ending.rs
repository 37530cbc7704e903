//! What the span of a request is told when it ends: the status of the answer.
//!
//! It ends through OpenTelemetry's API, which has no word for it but an attribute: a lock, a list and a search for
//! each request. So the status is put aside on the thread, where the span, which ends there and then, takes it.

use std::cell::Cell;

thread_local! {
    /// Has no destructor, so it can be used while the thread is torn down.
    static STATUS: Cell<Option<u16>> = const { Cell::new(None) };
}

/// Does what ends a span of ours, which is told the status if it is a request's and has not ended before.
pub(crate) fn with_status(status: Option<u16>, end: impl FnOnce()) {
    STATUS.set(status);
    end();
    // Nobody else's, if it was not taken.
    STATUS.set(None);
}

/// What the span that ends is told.
pub(super) fn told_status() -> Option<u16> {
    STATUS.take()
}

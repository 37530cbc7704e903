//! The span of one request and its response: ended once, at the right moment, with the reason.

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Key, StringValue, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::semconv;

/// Owns the span of an exchange. Dropped while still open, it was given up: by a client that went
/// away, a timeout, a `select!`.
pub(super) struct Exchange {
    span: Span,
    open: bool,
}

impl Exchange {
    pub(super) fn new(span: Span) -> Self {
        Self { open: !span.is_disabled(), span }
    }

    /// For a request that is not traced.
    pub(super) fn untraced() -> Self {
        Self { span: Span::none(), open: false }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn set(&self, key: impl Into<Key>, value: impl Into<Value>) {
        if self.open {
            self.span.set_attribute(key, value);
        }
    }

    /// Marks the span as failed. `error_type` is one of a small set of words, as it is a dimension.
    pub(super) fn fail(&self, error_type: impl Into<StringValue>) {
        if self.open {
            self.span.set_attribute(semconv::ERROR_TYPE, error_type.into());
            self.span.set_status(Status::error(""));
        }
    }

    /// Ends the span now. A handle that someone else still holds (a spawned task) does not prolong it.
    pub(super) fn end(&mut self) {
        if self.open {
            self.open = false;
            self.span.context().span().end();
        }
    }

    /// Runs a piece of the exchange's work inside its span; a panic ends the span as failed.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let mut unwinding = EndsWhenUnwound { exchange: self, returned: false };
        let result = unwinding.exchange.span.in_scope(work);
        unwinding.returned = true;
        result
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.fail(semconv::ERROR_CANCELLED);
        self.end();
    }
}

/// Sees a panic whoever catches it later, and however long the future is kept after it.
struct EndsWhenUnwound<'a> {
    exchange: &'a mut Exchange,
    returned: bool,
}

impl Drop for EndsWhenUnwound<'_> {
    fn drop(&mut self) {
        if !self.returned {
            self.exchange.fail(semconv::ERROR_PANIC);
            self.exchange.end();
        }
    }
}

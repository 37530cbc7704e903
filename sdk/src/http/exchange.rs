//! One request and its response: its span, ended once, at the right moment, with the reason; and what
//! is known of it, for whoever counts.

use std::borrow::Cow;
use std::task;

use http::StatusCode;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tokio::time::Instant;
use tracing::Span;
use tracing::span::EnteredSpan;

use super::counted::Counted;
use super::outcome::{Error, Facts};
use super::semconv;
use crate::span::with_status;

/// How a span is to begin.
pub(super) struct Begin<F> {
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    /// Made for a span that is recorded.
    pub(super) content: F,
}

/// Whether a span is recorded, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recorded {
    No,
    /// It is a span of ours.
    Ours,
    /// It is another tracer's.
    Foreign,
}

/// Owns the span of an exchange. Dropped while still open, it was given up: by a client that went
/// away, a timeout, a `select!`.
pub(super) struct Exchange {
    /// A `tracing` span that carries the same span as the context does, or none.
    carrier: Span,
    /// What the work runs in; `None` where it runs in what was there before.
    context: Option<Context>,
    recorded: Recorded,
    is_open: bool,
    facts: Facts,
    counted: Option<Counted>,
}

impl Exchange {
    /// Runs in a `tracing` span that carries the span of the context, another tracer's.
    pub(super) fn carried(carrier: Span, context: Context, is_recorded: bool) -> Self {
        let recorded = if is_recorded { Recorded::Foreign } else { Recorded::No };
        Self::new(carrier, Some(context), recorded)
    }

    /// For a request that has no span, or none yet.
    #[inline]
    pub(super) fn untraced() -> Self {
        Self::new(Span::none(), None, Recorded::No)
    }

    /// From now on it runs in a context that has the span.
    #[inline]
    pub(super) fn run_in(&mut self, context: Context, recorded: Recorded) {
        self.context = Some(context);
        self.recorded = recorded;
    }

    #[inline]
    fn new(carrier: Span, context: Option<Context>, recorded: Recorded) -> Self {
        Self { carrier, context, recorded, is_open: true, facts: Facts::default(), counted: None }
    }

    /// The ids of the span, if there is one.
    pub(super) fn span_context(&self) -> Option<SpanContext> {
        let context = self.context.as_ref()?;
        Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
    }

    /// The context that the work runs in, if it is the exchange's own.
    pub(super) fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.recorded != Recorded::No && self.is_open
    }

    /// Says more about the request or its answer.
    pub(super) fn describe(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        if let (true, Some(context)) = (self.is_recorded(), &self.context) {
            context.span().set_attributes(attributes);
        }
    }

    /// Has the exchange observed at its end.
    #[inline]
    pub(super) fn count(&mut self, counted: Counted) {
        self.counted = Some(counted);
    }

    /// Does a piece of the work inside the span, as [`run`](Self::run) does, and watches how long it takes if that
    /// is counted.
    pub(super) fn poll<T>(
        &mut self,
        context: &mut task::Context<'_>,
        work: impl FnOnce(&mut task::Context<'_>) -> T,
    ) -> T {
        let polls = self.counted.as_mut().and_then(Counted::polls);
        let Some((poll, waker)) = polls.map(|polls| polls.begin(context.waker())) else {
            return self.run(|| work(context));
        };
        let result = match waker {
            Some(waker) => self.run(|| work(&mut task::Context::from_waker(&waker))),
            None => self.run(|| work(context)),
        };
        if let Some(polls) = self.counted.as_mut().and_then(Counted::polls) {
            polls.end(&poll);
        }
        result
    }

    /// So much of the answer's body was handed over.
    pub(super) fn sent(&mut self, bytes: u64) {
        *self.facts.response_bytes.get_or_insert(0) += bytes;
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.facts.status = Some(status);
    }

    /// Marks the exchange as failed; the first reason counts.
    pub(super) fn fail(&mut self, error: Error) {
        self.facts.error.get_or_insert(error);
    }

    /// Ends the span now. A handle that someone else still holds (a spawned task) does not prolong it.
    pub(super) fn end(&mut self) {
        self.end_at(None);
    }

    /// Ends the span with the poll that is just over: its time is as good as another look at the clock.
    pub(super) fn end_with_poll(&mut self) {
        let polled_at = self.counted.as_ref().and_then(Counted::polled_at);
        self.end_at(polled_at);
    }

    fn end_at(&mut self, at: Option<Instant>) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        if let Some(counted) = self.counted.take() {
            let span = self.context.as_ref().map(|context| context.span());
            counted.end(at, self.facts, span.as_ref().map(|span| span.span_context()));
        }
        if self.recorded == Recorded::No {
            return;
        }
        if let Some(context) = &self.context {
            let Facts { status, error, .. } = self.facts;
            let status = status.map(|status| status.as_u16());
            let span = context.span();
            if let Some(error) = error {
                span.set_attribute(error.attribute());
                span.set_status(Status::error(""));
            }
            if self.recorded == Recorded::Ours {
                return with_status(status, || span.end());
            }
            if let Some(status) = status {
                let status = i64::from(status);
                span.set_attribute(KeyValue::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
            }
            span.end();
        }
    }

    /// Does the first piece of the work: in the `tracing` span that carries the span and is entered already,
    /// which is kept, or else in the context.
    #[inline]
    pub(super) fn begin<T>(
        &mut self,
        entered: Option<EnteredSpan>,
        work: impl FnOnce(&Self) -> T,
    ) -> T {
        if let Some(entered) = entered {
            let result = self.guarded(work);
            self.carrier = entered.exit();
            return result;
        }
        let _attached = self.context.as_ref().map(|context| context.clone().attach());
        if self.carrier.is_none() {
            self.guarded(work)
        } else {
            // A clone, because the work has the exchange.
            let carrier = self.carrier.clone();
            carrier.in_scope(|| self.guarded(work))
        }
    }

    /// Does a piece of the work inside the span; a panic ends the span as failed.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let mut unwinding = EndsWhenUnwound { exchange: self, returned: false };
        let Self { carrier, context, .. } = &mut *unwinding.exchange;
        let result = match context {
            None => work(),
            Some(context) if carrier.is_none() => {
                let _attached = context.clone().attach();
                work()
            }
            Some(_) => carrier.in_scope(work),
        };
        unwinding.returned = true;
        result
    }

    #[inline]
    fn guarded<T>(&mut self, work: impl FnOnce(&Self) -> T) -> T {
        let mut unwinding = EndsWhenUnwound { exchange: self, returned: false };
        let result = work(unwinding.exchange);
        unwinding.returned = true;
        result
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_open {
            self.fail(Error::CANCELLED);
            self.end();
        }
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
            self.exchange.fail(Error::PANIC);
            self.exchange.end();
        }
    }
}

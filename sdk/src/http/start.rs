//! Starts the span of an exchange, and puts it where the work will find it.

use opentelemetry::Context;
use opentelemetry::trace::{Link, Span as _, TraceContextExt as _};
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::exchange::{Begin, Exchange};
use super::foreign;
use crate::span::{Content, InForce, Parent, Span, Start, enter};

/// Where the span of an exchange is to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// In a `tracing` span, which brings the OpenTelemetry context along.
    #[default]
    TracingSpan,
    /// In the OpenTelemetry context only.
    Context,
}

/// A span that has started.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once; a box would be dearer")]
pub(super) enum Started {
    /// Ours, which is nowhere yet.
    Unplaced(Unplaced),
    /// Another's, which is in its place already; or there is none.
    Placed(Exchange),
}

pub(super) struct Unplaced {
    span: Span,
    place: Place,
    side: Side,
}

/// Whose span it is, and what is around it.
pub(super) enum Side {
    /// The context has the caller's baggage, if there is any.
    Server {
        context: Context,
        has_baggage: bool,
    },
    Client {
        context: Context,
    },
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
    F: FnOnce(&mut Content),
{
    let Some(current) = current else { return Started::Placed(foreign::server(caller, begin)) };
    let has_baggage = caller.has_baggage();
    let Caller { parent, links, context } = caller;
    let parent = parent.as_ref().map_or(Parent::None, Parent::Remote);
    let span = open(current, parent, begin, links);
    Started::Unplaced(Unplaced { span, place, side: Side::Server { context, has_baggage } })
}

/// A client's span is a child of the span that is active.
pub(super) fn client<F>(current: Option<&InForce>, place: Place, begin: Begin<F>) -> Started
where
    F: FnOnce(&mut Content),
{
    let Some(current) = current else { return Started::Placed(foreign::client(begin)) };
    let context = Context::current();
    let span = open(current, Parent::Context(&context), begin, Vec::new());
    Started::Unplaced(Unplaced { span, place, side: Side::Client { context } })
}

fn open<F>(current: &InForce, parent: Parent<'_>, begin: Begin<F>, links: Vec<Link>) -> Span
where
    F: FnOnce(&mut Content),
{
    let Begin { kind, name, content } = begin;
    current.tracer.open(Start { kind, name, parent, links, content })
}

impl Started {
    /// For a request that has no span.
    pub(super) fn nothing() -> Self {
        Self::Placed(Exchange::untraced())
    }

    /// Puts the span in its place, and does the first piece of the work in it.
    pub(super) fn run<T>(self, work: impl FnOnce(&Exchange) -> T) -> (Exchange, T) {
        match self {
            Self::Placed(exchange) => exchange.begun(work),
            Self::Unplaced(unplaced) => unplaced.run(work),
        }
    }
}

impl Unplaced {
    fn run<T>(self, work: impl FnOnce(&Exchange) -> T) -> (Exchange, T) {
        // Where a span is not recorded its ids are all there is to it, and need no box.
        let ids = self.span.span_context();
        if !ids.is_valid() {
            return Exchange::untraced().begun(work);
        }
        let is_recorded = self.span.is_recording();
        if self.place == Place::Context {
            let context = self.side.context();
            let context = if is_recorded {
                context.with_span(self.span)
            } else {
                context.with_remote_span_context(ids.clone())
            };
            return Exchange::in_context(context, is_recorded).begun(work);
        }
        match enter(self.side.carrier(), self.span) {
            Ok((entered, context)) => {
                Exchange::in_context(context, is_recorded).begun_in(entered, work)
            }
            Err(span) => {
                let context = self.side.context().with_span(span);
                Exchange::in_context(context, is_recorded).begun(work)
            }
        }
    }
}

impl Side {
    fn context(&self) -> &Context {
        let (Self::Server { context, .. } | Self::Client { context }) = self;
        context
    }

    fn carrier(&self) -> tracing::Span {
        match self {
            Self::Client { .. } => info_span!(target: "spanline::http", "spanline.carrier"),
            Self::Server { context, has_baggage } => {
                let carrier =
                    info_span!(target: "spanline::http", parent: None, "spanline.carrier");
                if *has_baggage {
                    // Cannot fail: the carrier is new.
                    let _ = carrier.set_parent(context.clone());
                }
                carrier
            }
        }
    }
}

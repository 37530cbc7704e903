//! Starts the span of an exchange, and puts it where the work will find it.

use opentelemetry::Context;
use opentelemetry::trace::{Link, Span as _, TraceContextExt as _};
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::caller::Caller;
use super::current::InForce;
use super::exchange::{Begin, Exchange};
use super::foreign;
use crate::span::{Content, Parent, Span, Start, enter};

/// Where the span of an exchange is to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// In a `tracing` span, which brings the OpenTelemetry context along.
    #[default]
    TracingSpan,
    /// In the OpenTelemetry context only.
    Context,
}

/// A span that has started, and has to be put in its place. It is large, so it stays where it is until then.
pub(super) struct Started {
    span: Option<Span>,
    place: Place,
    side: Side,
}

/// Whose span it is, and what is around it.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once; a box would be dearer")]
enum Side {
    /// The context has the caller's baggage, if there is any.
    Server {
        context: Context,
        has_baggage: bool,
    },
    Client {
        context: Context,
    },
    /// Another's, which is in its place already; or there is none.
    Placed(Option<Exchange>),
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
    let Some(current) = current else { return Started::placed(foreign::server(caller, begin)) };
    let has_baggage = caller.has_baggage();
    let Caller { parent, links, context } = caller;
    let parent = parent.as_ref().map_or(Parent::None, Parent::Remote);
    let span = Some(open(current, parent, begin, links));
    Started { span, place, side: Side::Server { context, has_baggage } }
}

/// A client's span is a child of the span that is active.
pub(super) fn client<F>(current: Option<&InForce>, place: Place, begin: Begin<F>) -> Started
where
    F: FnOnce(&mut Content),
{
    let Some(current) = current else { return Started::placed(foreign::client(begin)) };
    let context = Context::current();
    let span = Some(open(current, Parent::Context(&context), begin, Vec::new()));
    Started { span, place, side: Side::Client { context } }
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
        Self::placed(Exchange::untraced())
    }

    fn placed(exchange: Exchange) -> Self {
        Self { span: None, place: Place::default(), side: Side::Placed(Some(exchange)) }
    }

    /// Puts the span in its place, and does the first piece of the work in it.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&Exchange) -> T) -> (Exchange, T) {
        let ids = self.span.as_ref().map(Span::span_context).filter(|ids| ids.is_valid());
        let around = match &mut self.side {
            Side::Placed(exchange) => {
                return exchange.take().unwrap_or_else(Exchange::untraced).begun(work);
            }
            Side::Server { context, .. } | Side::Client { context } => std::mem::take(context),
        };
        let Some(ids) = ids else { return Exchange::untraced().begun(work) };
        let is_recorded = self.span.as_ref().is_some_and(Span::is_recording);
        if self.place == Place::Context && !is_recorded {
            // The ids are all there is to it, and need no box.
            let context = around.with_remote_span_context(ids.clone());
            return Exchange::in_context(context, false).begun(work);
        }
        if self.place == Place::TracingSpan {
            let carrier = self.side.carrier(&around);
            if let Some((entered, context)) = enter(carrier, &mut self.span) {
                return Exchange::in_context(context, is_recorded).begun_in(entered, work);
            }
        }
        let context = match self.span.take() {
            Some(span) => around.with_span(span),
            None => around,
        };
        Exchange::in_context(context, is_recorded).begun(work)
    }
}

impl Side {
    fn carrier(&self, around: &Context) -> tracing::Span {
        match self {
            Self::Server { has_baggage, .. } => {
                let carrier =
                    info_span!(target: "spanline::http", parent: None, "spanline.carrier");
                if *has_baggage {
                    // Cannot fail: the carrier is new.
                    let _ = carrier.set_parent(around.clone());
                }
                carrier
            }
            Self::Client { .. } | Self::Placed(_) => {
                info_span!(target: "spanline::http", "spanline.carrier")
            }
        }
    }
}

//! What a server takes from its caller: the trace, the sampling decision, the baggage.

use http::{HeaderMap, HeaderName};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Link, SpanContext};
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::headers::Headers;
use super::traceparent;
use crate::config::Propagation;

/// How far the callers of a server are trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Callers {
    /// Their trace is continued, they decide whether it is sampled, and their baggage is taken.
    #[default]
    Trust,
    /// Each request begins a trace of its own, with a link to the caller's span. For callers whose trace
    /// is of interest, but who must not decide what is recorded here. Baggage is not taken.
    Link,
    /// What they say of themselves is not read.
    Ignore,
}

/// What is taken from one request.
#[derive(Debug, Default)]
pub(super) struct Caller {
    /// The span to be continued.
    pub(super) parent: Option<SpanContext>,
    pub(super) links: Vec<Link>,
    /// Carries the baggage, if there is any, and no span.
    pub(super) context: Context,
}

impl Caller {
    pub(super) fn of(
        found: &Headers<'_>,
        headers: &HeaderMap,
        policy: Callers,
        propagation: Propagation,
    ) -> Self {
        let mut caller = Self::default();
        if policy == Callers::Ignore {
            return caller;
        }
        if propagation.trace_context {
            let span = traceparent::extract(found, headers);
            match policy {
                Callers::Link => caller.links.extend(span.map(Link::with_context)),
                _ => caller.parent = span,
            }
        }
        if propagation.baggage && policy == Callers::Trust && found.has_baggage {
            let propagator = BaggagePropagator::new();
            caller.context = propagator.extract_with_context(&caller.context, &Map(headers));
        }
        caller
    }

    /// Whether something came that the context has to pass on.
    pub(super) fn has_baggage(&self) -> bool {
        use opentelemetry::baggage::BaggageExt as _;
        !self.context.baggage().is_empty()
    }
}

struct Map<'a>(&'a HeaderMap);

impl Extractor for Map<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::baggage::BaggageExt as _;

    use super::*;

    fn headers() -> HeaderMap {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        [("traceparent", parent), ("baggage", "tenant=acme,user=ada")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn caller(policy: Callers, propagation: Propagation) -> (bool, usize, usize) {
        let headers = headers();
        let caller = Caller::of(&Headers::of(&headers), &headers, policy, propagation);
        assert_eq!(caller.has_baggage(), !caller.context.baggage().is_empty());
        (caller.parent.is_some(), caller.links.len(), caller.context.baggage().len())
    }

    #[test]
    fn a_policy_says_what_is_taken() {
        let all = Propagation::default();
        assert_eq!(caller(Callers::Trust, all), (true, 0, 2));
        assert_eq!(caller(Callers::Link, all), (false, 1, 0));
        assert_eq!(caller(Callers::Ignore, all), (false, 0, 0));
    }

    #[test]
    fn what_is_not_propagated_is_not_taken() {
        let only_trace = Propagation { trace_context: true, baggage: false };
        let only_baggage = Propagation { trace_context: false, baggage: true };
        assert_eq!(caller(Callers::Trust, only_trace), (true, 0, 0));
        assert_eq!(caller(Callers::Trust, only_baggage), (false, 0, 2));
    }
}

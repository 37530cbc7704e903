//! An exchange as the metrics see it: counted as under way while it lives, observed once at its end.

use opentelemetry::trace::SpanContext;
use std::sync::OnceLock;
use tokio::time::Instant;

use super::method::{Method, SLOTS};
use super::outcome::{Error, Facts};
use super::polls::Polls;
use super::route::Route;
use crate::context::SpanIds;
use crate::metrics::http::{Asked, Ended, ErrorType, Outcome, Recorder, Requests, UnderWay};

/// Dropped without an end, it has been under way and is nothing else.
pub(super) struct Counted {
    under_way: UnderWay,
    request_bytes: Option<u64>,
    started: Instant,
    polls: Option<Polls>,
}

impl Counted {
    /// From now on it is under way, and its polls are watched if there is something to watch them.
    #[inline]
    pub(super) fn begin(
        requests: Requests,
        request_bytes: Option<u64>,
        polls: Option<Polls>,
    ) -> Self {
        Self { under_way: requests.begin(), request_bytes, started: Instant::now(), polls }
    }

    /// When its latest poll was over, if that was watched.
    pub(super) fn polled_at(&self) -> Option<Instant> {
        self.polls.as_ref()?.over_at()
    }

    pub(super) fn polls(&mut self) -> Option<&mut Polls> {
        self.polls.as_mut()
    }

    /// The duration is that of a clock which nobody sets, so it is not the difference of the span's times.
    /// `at` is now, if that is known.
    pub(super) fn end(self, at: Option<Instant>, facts: Facts, span: Option<&SpanContext>) {
        let error = facts.error.map(|error| match error {
            Error::Status(status) => ErrorType::Status(status.as_u16()),
            Error::Other(word) => ErrorType::Word(word),
        });
        let status = facts.status.map(|status| status.as_u16());
        self.under_way.end(&Ended {
            outcome: Outcome { status, error },
            duration: at.unwrap_or_else(Instant::now).saturating_duration_since(self.started),
            request_bytes: self.request_bytes,
            response_bytes: facts.response_bytes,
            polled: self.polls.as_ref().map(Polls::polled),
            span: span.and_then(SpanIds::of),
        });
    }
}

/// What a request that a server received is counted under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    pub(super) method: &'a Method<'a>,
    pub(super) scheme: &'static str,
    /// The template that matched, and the route, if it is one of those that are kept.
    pub(super) route: Option<(&'a str, Option<&'static Route>)>,
}

/// Remembers the requests of each method for the one route that a service is usually mounted at, so that none of
/// them looks for its series.
#[derive(Debug, Default)]
pub(super) struct LastRequests {
    by_method: [OnceLock<Kept>; SLOTS],
}

#[derive(Debug)]
struct Kept {
    requests: Requests,
    scheme: &'static str,
    route: Option<&'static Route>,
}

impl LastRequests {
    pub(super) fn find(&self, recorder: &Recorder, received: Received<'_>) -> Requests {
        let route = match received.route {
            Some((_, None)) => return received.look_up(recorder),
            Some((_, kept)) => kept,
            None => None,
        };
        let Some(place) = received.method.slot.and_then(|slot| self.by_method.get(slot)) else {
            return received.look_up(recorder);
        };
        match place.get() {
            Some(kept) if kept.are(recorder, received.scheme, route) => kept.requests.clone(),
            Some(_) => received.look_up(recorder),
            None => {
                let requests = received.look_up(recorder);
                if !requests.are_overflow() {
                    let scheme = received.scheme;
                    let _first = place.set(Kept { requests: requests.clone(), scheme, route });
                }
                requests
            }
        }
    }
}

impl Received<'_> {
    #[cold]
    fn look_up(self, recorder: &Recorder) -> Requests {
        let route = self.route.map(|(template, _)| template);
        let method = self.method.value;
        recorder.requests(&Asked { method, scheme: self.scheme, server: None, route })
    }
}

impl Kept {
    fn are(&self, recorder: &Recorder, scheme: &str, route: Option<&'static Route>) -> bool {
        let is_route = match (self.route, route) {
            (Some(kept), Some(route)) => std::ptr::eq(kept, route),
            (kept, route) => kept.is_none() && route.is_none(),
        };
        is_route && self.scheme == scheme && self.requests.are_of(recorder)
    }
}

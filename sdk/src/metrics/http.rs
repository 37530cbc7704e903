//! The metrics of requests, as OpenTelemetry's conventions for HTTP have them: how long they took, how many
//! are under way, how large their bodies were; for a server's and for a client's.
//!
//! The HTTP layers look up the [`Requests`] that ask for the same, count one more of them as under way by
//! [`Requests::begin`] until what it returns is dropped, and observe it by [`UnderWay::end`]. Labels come from
//! templates and words, never from paths: the number of series is that of the routes.

mod families;
mod numbers;
mod told;

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::exemplar::Exemplar;
use super::instrument::Source;
use super::labels::{LabelValue, Pair};
use super::polls::PollFamilies;
use super::registry::Registry;
use super::series::Series;
use families::{Alike, Families, ROUTE};
use numbers::Exchange;
pub(crate) use told::{Asked, Ended, ErrorType, Outcome};

/// Records one side's requests.
pub(crate) struct Recorder {
    families: Arc<Families>,
}

/// The requests that ask for the same: their series, looked up once.
#[derive(Clone)]
pub(crate) struct Requests(Arc<Series<Alike>>);

/// A request that is under way; it is not any more when this is dropped, however it came to that.
#[must_use = "the request is under way for as long as this lives"]
pub(crate) struct UnderWay(Requests);

// === impl Recorder ===

impl Recorder {
    pub(super) fn of_server(registry: &Registry) -> Self {
        let polls = Arc::new(PollFamilies::new(registry.common()));
        registry.add(Arc::clone(&polls) as Arc<dyn Source>);
        Self::new("server", registry, Some(polls))
    }

    pub(super) fn of_client(registry: &Registry) -> Self {
        Self::new("client", registry, None)
    }

    fn new(side: &str, registry: &Registry, polls: Option<Arc<PollFamilies>>) -> Self {
        let families = Arc::new(Families::new(side, registry.common(), polls));
        for definition in families.definitions() {
            // Taken in advance, so that nobody else can take them.
            registry.take_names(definition);
        }
        registry.add(Arc::clone(&families) as Arc<dyn Source>);
        Self { families }
    }

    /// The requests that ask for this. It takes a look-up, which can be kept.
    pub(crate) fn requests(&self, asked: &Asked<'_>) -> Requests {
        let mut pairs: [Pair<'_>; 5] = [("", LabelValue::Number(0)); 5];
        let mut count = 0;
        let mut push = |key, value| {
            if let Some(place) = pairs.get_mut(count) {
                *place = (key, value);
                count += 1;
            }
        };
        push("http.request.method", LabelValue::Text(asked.method));
        push("url.scheme", LabelValue::Text(asked.scheme));
        if let Some((address, port)) = asked.server {
            push("server.address", LabelValue::Text(address));
            if let Some(port) = port {
                push("server.port", LabelValue::Number(i64::from(port)));
            }
        }
        if let Some(route) = asked.route {
            push(ROUTE, LabelValue::Text(route));
        }
        Requests(self.families.alike.with_pairs(&pairs[..count]))
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.families.duration.name;
        f.debug_struct("Recorder").field("name", name).finish_non_exhaustive()
    }
}

// === impl Requests ===

impl Requests {
    /// Whether this recorder counts them. A program has one, but each of its tests has its own.
    pub(crate) fn are_of(&self, recorder: &Recorder) -> bool {
        Arc::ptr_eq(&self.0.data.families, &recorder.families.observed)
    }

    /// Whether they are those beyond the cap, which are counted anew each time.
    pub(crate) fn are_overflow(&self) -> bool {
        self.0.labels.is_overflow()
    }

    /// One more is under way.
    pub(crate) fn begin(self) -> UnderWay {
        self.0.data.active.data.add(1);
        UnderWay(self)
    }

    fn observe(&self, ended: &Ended) {
        let alike = &self.0.data;
        let exemplar = Exemplar::of_span(ended.span, alike.families.filter);
        match alike.at_hand(ended.outcome) {
            Some(exchange) => exchange.data.observe(ended, exemplar),
            None => self.look_up(ended.outcome).data.observe(ended, exemplar),
        }
        if let (Some(polls), Some(polled)) = (&alike.polls, &ended.polled) {
            polls.data.observe(polled, exemplar);
        }
    }

    /// The series of an outcome, at hand from now on if there is room.
    #[cold]
    fn look_up(&self, outcome: Outcome) -> Arc<Series<Exchange>> {
        let exchanges = &self.0.data.families.exchanges;
        if self.are_overflow() {
            // Looking them up was counted already.
            return exchanges.uncounted_overflow();
        }
        let found = exchanges.with_attributes(&outcome.labels(self.0.labels.own()));
        if !found.labels.is_overflow() {
            let taken = |place: &&OnceLock<_>| place.set((outcome, Arc::clone(&found))).is_ok();
            let _at_hand = self.0.data.at_hand.iter().find(taken);
        }
        found
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Requests").field(&self.0.labels.text).finish()
    }
}

impl UnderWay {
    /// It is over.
    pub(crate) fn end(self, ended: &Ended) {
        self.0.observe(ended);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.data.active.data.add(-1);
    }
}

#[cfg(test)]
mod tests;

//! The families of one side, and the series that are found in them for a request.

use std::sync::{Arc, OnceLock};

use super::numbers::{Active, Exchange};
use super::told::Outcome;
use crate::config::ExemplarFilter;
use crate::metrics::bounds::{Bounds, SECONDS_BOUNDS};
use crate::metrics::definition::{Definition, Kind};
use crate::metrics::histogram::{Histogram, HistogramCore};
use crate::metrics::instrument::{Common, Instrument as _, Source};
use crate::metrics::labels::{DefaultLabels, LabelSet};
use crate::metrics::polls::{PollFamilies, Polls};
use crate::metrics::series::{Series, SeriesMap};
use crate::metrics::snapshot::{Family, Point, Value};

/// From an empty body to 16 MiB.
const BYTES_BOUNDS: [f64; 9] =
    [0.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 16_777_216.0];

/// The outcomes of one kind of request whose series are at hand. A route has few; further ones are looked up
/// each time.
pub(super) const OUTCOMES_AT_HAND: usize = 8;

pub(super) const ROUTE: &str = "http.route";

/// The families of one side.
pub(super) struct Families {
    pub(super) duration: Arc<Definition>,
    pub(super) request_bytes: Arc<Definition>,
    pub(super) response_bytes: Arc<Definition>,
    pub(super) active_requests: Arc<Definition>,
    pub(super) alike: SeriesMap<Alike>,
    pub(super) observed: Arc<Observed>,
}

/// What is read.
pub(super) struct Observed {
    pub(super) exchanges: SeriesMap<Exchange>,
    pub(super) active: SeriesMap<Active>,
    pub(super) polls: Option<Arc<PollFamilies>>,
    pub(super) filter: ExemplarFilter,
}

/// What requests that ask for the same have in common.
pub(super) struct Alike {
    pub(super) families: Arc<Observed>,
    pub(super) active: Arc<Series<Active>>,
    /// Of the route; a client has none.
    pub(super) polls: Option<Arc<Series<Polls>>>,
    pub(super) at_hand: [OnceLock<(Outcome, Arc<Series<Exchange>>)>; OUTCOMES_AT_HAND],
}

impl Families {
    pub(super) fn new(side: &str, common: &Common, polls: Option<Arc<PollFamilies>>) -> Self {
        let define = |what: &str, unit, help: &str, kind| {
            let name = format!("http.{side}.{what}");
            Arc::new(Definition::of_instrument(&name, unit, help, kind))
        };
        let (of_series, seconds, bytes) = (
            common.clone(),
            Arc::new(Bounds::new(SECONDS_BOUNDS)),
            Arc::new(Bounds::new(BYTES_BOUNDS)),
        );
        let exchange = move |_: &LabelSet| Exchange {
            duration: Histogram::core(&of_series, &seconds),
            request_bytes: Histogram::core(&of_series, &bytes),
            response_bytes: Histogram::core(&of_series, &bytes),
        };
        let (defaults, losses) = (&common.defaults, &common.losses);
        let observed = Arc::new(Observed {
            exchanges: SeriesMap::new(defaults.clone(), Arc::clone(losses), exchange),
            active: SeriesMap::new(defaults.clone(), Arc::clone(losses), |_| Active::new()),
            polls,
            filter: common.filter,
        });
        let of_alike = Arc::clone(&observed);
        // Their labels are only ever looked for, so they have no defaults.
        let alike = SeriesMap::new(DefaultLabels::default(), Arc::clone(losses), move |labels| {
            Alike::new(labels, &of_alike)
        });
        let histogram = Kind::Histogram;
        Self {
            duration: define("request.duration", "s", "Duration of requests", histogram),
            request_bytes: define("request.body.size", "By", "Size of requests' bodies", histogram),
            response_bytes: define(
                "response.body.size",
                "By",
                "Size of responses' bodies",
                histogram,
            ),
            active_requests: define(
                "active_requests",
                "{request}",
                "Requests that are under way",
                Kind::UpDownCounter,
            ),
            alike,
            observed,
        }
    }

    pub(super) fn definitions(&self) -> [&Definition; 4] {
        [&self.duration, &self.request_bytes, &self.response_bytes, &self.active_requests]
    }
}

impl Source for Families {
    fn read(&self, families: &mut Vec<Family>) {
        let exchanges = self.observed.exchanges.all();
        let mut add = |definition: &Arc<Definition>, of: fn(&Exchange) -> &HistogramCore| {
            let points =
                exchanges.iter().map(|series| point(series, Histogram::value(of(&series.data))));
            // A size that nobody told is no empty histogram.
            let points = points.filter(|point| match &point.value {
                Value::Histogram(histogram) => histogram.counts.iter().any(|count| *count > 0),
                Value::Number { .. } => true,
            });
            families.push(Family { definition: Arc::clone(definition), points: points.collect() });
        };
        add(&self.duration, |exchange| &exchange.duration);
        add(&self.request_bytes, |exchange| &exchange.request_bytes);
        add(&self.response_bytes, |exchange| &exchange.response_bytes);
        let active = self.observed.active.all();
        let points = active.iter().map(|series| point(series, series.data.value()));
        families.push(Family {
            definition: Arc::clone(&self.active_requests),
            points: points.collect(),
        });
    }
}

fn point<T>(series: &Series<T>, value: Value) -> Point {
    Point { labels: Arc::clone(&series.labels), start_nanos: series.start_nanos, value }
}

impl Alike {
    fn new(labels: &LabelSet, families: &Arc<Observed>) -> Self {
        let is_overflow = labels.is_overflow();
        let (route, labels): (Vec<_>, Vec<_>) =
            labels.own().iter().cloned().partition(|label| label.key.as_str() == ROUTE);
        let active = match is_overflow {
            true => families.active.uncounted_overflow(),
            false => families.active.with_attributes(&labels),
        };
        let polls = families.polls.as_ref().map(|polls| match is_overflow {
            true => polls.of_others(),
            false => polls.of_route(&route),
        });
        Self { families: Arc::clone(families), active, polls, at_hand: Default::default() }
    }

    #[inline]
    pub(super) fn at_hand(&self, outcome: Outcome) -> Option<&Series<Exchange>> {
        // The first that is free is where they end.
        let known = self.at_hand.iter().map_while(OnceLock::get);
        known.into_iter().find(|(known, _)| *known == outcome).map(|(_, exchange)| &**exchange)
    }
}

//! How a server's requests keep its workers busy, by route: polls that took too long, how long a request was
//! polled in all, and how long it waited to be polled.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;

use super::bounds::Bounds;
use super::counter::{Counter, CounterCore};
use super::definition::Definition;
use super::exemplar::Exemplar;
use super::histogram::{Histogram, HistogramCore};
use super::instrument::{Common, Instrument as _, Source};
use super::labels::LabelSet;
use super::own;
use super::series::{Series, SeriesMap};
use super::snapshot::{Family, Point, Value};

/// From ten microseconds, which a small handler takes, to ten seconds.
const BOUNDS: [f64; 17] = [
    0.000_01, 0.000_05, 0.0001, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// The three families.
pub(super) struct PollFamilies {
    routes: SeriesMap<Polls>,
    slow: Arc<Definition>,
    time: Arc<Definition>,
    delay: Arc<Definition>,
}

/// The numbers of one route.
pub(super) struct Polls {
    slow: CounterCore,
    time: HistogramCore,
    delay: HistogramCore,
}

/// How one request was polled, all its polls together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) slow: u64,
    pub(crate) time: Duration,
    /// `None` where nobody measures it.
    pub(crate) delay: Option<Duration>,
}

impl PollFamilies {
    pub(super) fn new(common: &Common) -> Self {
        let (of_series, bounds) = (common.clone(), Arc::new(Bounds::new(BOUNDS)));
        let polls = move |_: &LabelSet| Polls {
            slow: Counter::core(&of_series, &()),
            time: Histogram::core(&of_series, &bounds),
            delay: Histogram::core(&of_series, &bounds),
        };
        let (defaults, losses) = (common.defaults.clone(), Arc::clone(&common.losses));
        let define = |name| Arc::new(own::definition(name));
        Self {
            routes: SeriesMap::new(defaults, losses, polls),
            slow: define("spanline_http_server_slow_polls_total"),
            time: define("spanline_http_server_poll_time_seconds"),
            delay: define("spanline_http_server_scheduling_delay_seconds"),
        }
    }

    /// The series of a route; of all requests without one, if it has no labels.
    pub(super) fn of_route(&self, route: &[KeyValue]) -> Arc<Series<Polls>> {
        self.routes.with_attributes(route)
    }

    /// The series of the routes that are too many.
    pub(super) fn of_others(&self) -> Arc<Series<Polls>> {
        self.routes.uncounted_overflow()
    }
}

impl Polls {
    pub(super) fn observe(&self, polled: &Polled, exemplar: Option<Exemplar>) {
        if polled.slow > 0 {
            self.slow.add(polled.slow, exemplar);
        }
        self.time.observe(polled.time.as_secs_f64(), exemplar);
        if let Some(delay) = polled.delay {
            self.delay.observe(delay.as_secs_f64(), exemplar);
        }
    }
}

impl Source for PollFamilies {
    fn read(&self, families: &mut Vec<Family>) {
        let routes = self.routes.all();
        let mut add = |definition: &Arc<Definition>, value: fn(&Polls) -> Value| {
            let point = |series: &Arc<Series<Polls>>| Point {
                labels: Arc::clone(&series.labels),
                start_nanos: series.start_nanos,
                value: value(&series.data),
            };
            // A delay that nobody measured is no empty histogram.
            let is_told = |point: &Point| match &point.value {
                Value::Histogram(histogram) => histogram.counts.iter().any(|count| *count > 0),
                Value::Number { .. } => true,
            };
            let points = routes.iter().map(point).filter(is_told).collect();
            families.push(Family { definition: Arc::clone(definition), points });
        };
        add(&self.slow, |polls| Counter::value(&polls.slow));
        add(&self.time, |polls| Histogram::value(&polls.time));
        add(&self.delay, |polls| Histogram::value(&polls.delay));
    }
}

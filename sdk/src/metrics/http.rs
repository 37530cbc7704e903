//! The metrics of requests, as OpenTelemetry's conventions for HTTP have them: how long they took, how many
//! are under way, how large their bodies were; for a server's and for a client's.
//!
//! The HTTP layers look up the [`Requests`] that ask for the same, count one more of them as under way by
//! [`Requests::begin`] until what it returns is dropped, and observe it by [`UnderWay::end`]. Labels come from
//! templates and words, never from paths: the number of series is that of the routes.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::KeyValue;

use super::bounds::{Bounds, SECONDS_BOUNDS};
use super::definition::{Definition, Kind};
use super::exemplar::Exemplar;
use super::histogram::{Histogram, HistogramCore};
use super::instrument::{Common, Instrument as _, Source};
use super::labels::{DefaultLabels, LabelSet, LabelValue, Pair};
use super::polls::{PollFamilies, Polled, Polls};
use super::registry::Registry;
use super::series::{Series, SeriesMap};
use super::shard::{Shards, Slot};
use super::snapshot::{Family, Number, Point, Value};
use crate::config::ExemplarFilter;
use crate::context::SpanIds;

/// From an empty body to 16 MiB.
const BYTES_BOUNDS: [f64; 9] =
    [0.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 16_777_216.0];

/// The outcomes of one kind of request whose series are at hand. A route has few; further ones are looked up
/// each time.
const OUTCOMES_AT_HAND: usize = 8;

const ROUTE: &str = "http.route";

/// Records one side's requests.
pub(crate) struct Recorder {
    families: Arc<Families>,
}

/// What is known of a request from its beginning. No two of the words come from a stranger without a bound on
/// how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Whom a client asks. A server leaves it out: its callers choose the name.
    pub(crate) server: Option<(&'a str, Option<u16>)>,
    /// The template that matched; without one, all such requests are one series.
    pub(crate) route: Option<&'a str>,
}

/// What is known of a request at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: Option<u64>,
    /// How it was polled, if that was watched.
    pub(crate) polled: Option<Polled>,
    /// The request's span.
    pub(crate) span: Option<SpanIds>,
}

/// How a request went, as far as it is a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<ErrorType>,
}

/// What a request failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// Its status.
    Status(u16),
    /// One of a small set of words.
    Word(&'static str),
}

/// The requests that ask for the same: their series, looked up once.
#[derive(Clone)]
pub(crate) struct Requests(Arc<Series<Alike>>);

/// A request that is under way; it is not any more when this is dropped, however it came to that.
#[must_use = "the request is under way for as long as this lives"]
pub(crate) struct UnderWay(Requests);

/// What requests that ask for the same have in common.
struct Alike {
    families: Arc<Observed>,
    active: Arc<Series<Active>>,
    /// Of the route; a client has none.
    polls: Option<Arc<Series<Polls>>>,
    at_hand: [OnceLock<(Outcome, Arc<Series<Exchange>>)>; OUTCOMES_AT_HAND],
}

/// How many are under way: those that began on a thread less those that ended on it, added up.
struct Active(Shards);

/// The numbers of requests that are over. They share their labels, so that a request looks its series up once.
struct Exchange {
    duration: HistogramCore,
    request_bytes: HistogramCore,
    response_bytes: HistogramCore,
}

/// The families of one side.
struct Families {
    duration: Arc<Definition>,
    request_bytes: Arc<Definition>,
    response_bytes: Arc<Definition>,
    active_requests: Arc<Definition>,
    alike: SeriesMap<Alike>,
    observed: Arc<Observed>,
}

/// What is read.
struct Observed {
    exchanges: SeriesMap<Exchange>,
    active: SeriesMap<Active>,
    polls: Option<Arc<PollFamilies>>,
    filter: ExemplarFilter,
}

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
    fn at_hand(&self, outcome: Outcome) -> Option<&Series<Exchange>> {
        // The first that is free is where they end.
        let known = self.at_hand.iter().map_while(OnceLock::get);
        known.into_iter().find(|(known, _)| *known == outcome).map(|(_, exchange)| &**exchange)
    }
}

impl Outcome {
    /// With the labels that a request has from its beginning.
    fn labels(&self, asked: &[KeyValue]) -> Vec<KeyValue> {
        let mut labels = asked.to_vec();
        if let Some(status) = self.status {
            labels.push(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        match self.error {
            Some(ErrorType::Status(status)) => {
                labels.push(KeyValue::new("error.type", status.to_string()));
            }
            Some(ErrorType::Word(word)) => labels.push(KeyValue::new("error.type", word)),
            None => {}
        }
        labels
    }
}

impl Exchange {
    fn observe(&self, ended: &Ended, exemplar: Option<Exemplar>) {
        self.duration.observe(ended.duration.as_secs_f64(), exemplar);
        #[expect(clippy::cast_precision_loss, reason = "no body is so large that it matters")]
        let observe = |sizes: &HistogramCore, bytes: Option<u64>| {
            if let Some(bytes) = bytes {
                sizes.observe(bytes as f64, exemplar);
            }
        };
        observe(&self.request_bytes, ended.request_bytes);
        observe(&self.response_bytes, ended.response_bytes);
    }
}

impl Active {
    fn new() -> Self {
        Self(Shards::new(1))
    }

    #[inline]
    fn add(&self, difference: i64) {
        if let Some(slot) = self.0.own().first() {
            // Two's complement: adding the bits of -1 takes one away.
            slot.bits.fetch_add(difference.cast_unsigned(), Ordering::Relaxed);
        }
    }

    fn value(&self) -> Value {
        let of_shard = |slots: &[Slot]| {
            slots
                .iter()
                .fold(0_u64, |sum, slot| sum.wrapping_add(slot.bits.load(Ordering::Relaxed)))
        };
        let sum = self.0.all().fold(0_u64, |sum, slots| sum.wrapping_add(of_shard(slots)));
        // A request that goes from thread to thread while it is read may be seen to end only.
        let number = Number::Signed(sum.cast_signed().max(0));
        Value::Number { number, example: None }
    }
}

impl Families {
    fn new(side: &str, common: &Common, polls: Option<Arc<PollFamilies>>) -> Self {
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

    fn definitions(&self) -> [&Definition; 4] {
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

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Asked<'static> = Asked { method: "GET", scheme: "http", server: None, route: None };
    const USERS: Asked<'static> = Asked { route: Some("/users/{id}"), ..GET };
    const IDS: SpanIds = SpanIds { trace_id: [1; 16], span_id: [2; 8], sampled: true };

    fn ended(status: u16) -> Ended {
        Ended {
            outcome: Outcome { status: Some(status), error: None },
            duration: Duration::from_millis(30),
            request_bytes: None,
            response_bytes: Some(300),
            polled: None,
            span: None,
        }
    }

    #[test]
    fn a_request_is_active_until_it_is_let_go_and_then_observed_with_its_span() {
        let registry = Registry::default();
        let recorder = Recorder::of_server(&registry);
        let users = recorder.requests(&USERS);
        let under_way = [users.clone().begin(), users.clone().begin()];
        let given_up = recorder.requests(&GET).begin();
        let line = "http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}";
        assert!(registry.to_openmetrics().contains(&format!("{line} 3\n")));
        drop(given_up);
        // The one that is not sampled takes no exemplar away.
        let unsampled = SpanIds { sampled: false, trace_id: [3; 16], ..IDS };
        for (one, span) in under_way.into_iter().zip([IDS, unsampled]) {
            one.end(&Ended { span: Some(span), ..ended(200) });
        }
        let text = registry.to_openmetrics();
        assert!(text.contains(&format!("{line} 0\n")), "{text}");
        let labels = "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/users/{id}\",\
             http_response_status_code=\"200\"";
        let bucket =
            format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 2 # ");
        let line = text.lines().find(|line| line.starts_with(&bucket)).unwrap();
        assert!(line.contains(&"01".repeat(16)), "{line}");
        assert!(
            text.contains(&format!("http_server_response_body_size_bytes_sum{{{labels}}} 600.0\n"))
        );
        assert!(!text.contains("request_body_size_bytes_count{"), "nobody told a size: {text}");
    }

    #[test]
    fn requests_of_one_server_are_one_series_and_errors_have_their_words() {
        let registry = Registry::default();
        let recorder = Recorder::of_client(&registry);
        let asked = Asked { server: Some(("db", Some(80))), ..GET };
        for _ in 0..3 {
            let outcome = Outcome { status: None, error: Some(ErrorType::Word("timeout")) };
            let failed = Ended { outcome, response_bytes: None, ..ended(0) };
            recorder.requests(&asked).begin().end(&failed);
        }
        let text = registry.to_openmetrics();
        let count = "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
             url_scheme=\"http\",server_address=\"db\",server_port=\"80\",error_type=\"timeout\"} 3\n";
        assert!(text.contains(count), "{text}");
    }

    #[test]
    fn outcomes_beyond_those_at_hand_are_counted_where_they_belong() {
        let registry = Registry::default();
        let users = Recorder::of_server(&registry).requests(&USERS);
        for _ in 0..2 {
            for status in 200..200 + 3 * OUTCOMES_AT_HAND as u16 {
                users.clone().begin().end(&ended(status));
            }
        }
        let text = registry.to_openmetrics();
        let counts = text.lines().filter(|line| line.contains("duration_seconds_count{"));
        let counts: Vec<_> = counts.map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(counts, ["2"; 3 * OUTCOMES_AT_HAND]);
    }

    #[test]
    fn ever_new_values_end_at_the_cap_and_what_goes_there_is_counted_once() {
        let registry = Registry::default();
        let recorder = Recorder::of_server(&registry);
        for number in 0..10_000 {
            let route = format!("/{number}");
            let asked = Asked { route: Some(&route), ..GET };
            recorder.requests(&asked).begin().end(&ended(200));
        }
        let snapshot = registry.snapshot();
        let family = snapshot.family("http_server_request_duration_seconds").unwrap();
        assert_eq!(family.points.len(), 2_001);
        assert_eq!(registry.common().losses.overflow.load(Ordering::Relaxed), 8_000);
        let family = snapshot.family("http_server_active_requests").unwrap();
        assert_eq!(family.points.len(), 2);
        for point in &family.points {
            let Value::Number { number, .. } = point.value else { panic!("{point:?}") };
            assert_eq!(number, Number::Signed(0));
        }
    }

    #[test]
    fn what_begins_on_one_thread_may_end_on_another() {
        let registry = Registry::default();
        let requests = Recorder::of_server(&registry).requests(&GET);
        let under_way: Vec<_> = (0..64).map(|_| requests.clone().begin()).collect();
        std::thread::scope(|scope| {
            for one in under_way {
                scope.spawn(move || one.end(&ended(200)));
            }
        });
        let Value::Number { number, .. } = requests.0.data.active.data.value() else { panic!() };
        assert_eq!(number, Number::Signed(0));
    }
}

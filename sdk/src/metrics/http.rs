//! The metrics of requests, as OpenTelemetry's conventions for HTTP have them: how long they took, how many
//! are under way, how large their bodies were; for a server's and for a client's.
//!
//! The HTTP layers call it twice for a request: [`Recorder::begin`] counts it as active until what it returns
//! is dropped, [`Recorder::end`] observes it. Labels come from templates and words, never from paths: the
//! number of series is that of the routes.

#![expect(dead_code, reason = "the layer of clients does not call it yet")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::definition::{Definition, Kind};
use super::exemplar::{Exemplar, unix_nanos};
use super::gauge::{Gauge, GaugeCore};
use super::histogram::{Bounds, Histogram, HistogramCore};
use super::instrument::{Context, Instrument as _, Source};
use super::labels::{LabelValue, Pair};
use super::meter::SECONDS_BOUNDS;
use super::registry::Registry;
use super::series::{Series, SeriesMap};
use super::snapshot::{Family, Point, Value};
use crate::config::ExemplarFilter;
use crate::context::SpanIds;

/// From an empty body to 16 MiB.
const BYTES_BOUNDS: [f64; 9] =
    [0.0, 256.0, 1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 16_777_216.0];

static RECORDERS: OnceLock<Recorders> = OnceLock::new();

struct Recorders {
    server: Recorder,
    client: Recorder,
}

/// Where the server's layer records, once telemetry has started.
pub(crate) fn server() -> Option<&'static Recorder> {
    RECORDERS.get().map(|recorders| &recorders.server)
}

/// Where the client's layer records, once telemetry has started.
pub(crate) fn client() -> Option<&'static Recorder> {
    RECORDERS.get().map(|recorders| &recorders.client)
}

/// Makes a registry the one that the layers record in, unless another is already.
pub(super) fn install(registry: &Registry) {
    RECORDERS.get_or_init(|| Recorders {
        server: Recorder::new("server", registry),
        client: Recorder::new("client", registry),
    });
}

/// Records one side's requests.
pub(crate) struct Recorder {
    families: Arc<Families>,
    filter: ExemplarFilter,
}

/// What is known of a request from its beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Whom a client asks. A server leaves it out: its callers choose the name.
    pub(crate) server: Option<(&'a str, u16)>,
}

/// What is known of a request at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) begun: Begun<'a>,
    /// The template that matched; without one, all such requests are one series.
    pub(crate) route: Option<&'a str>,
    pub(crate) status: Option<u16>,
    /// One of a small set of words.
    pub(crate) error_type: Option<&'a str>,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: Option<u64>,
    /// The request's span.
    pub(crate) span: Option<SpanIds>,
}

/// A request that is under way; it is not any more when this is dropped, however it came to that.
#[derive(Debug)]
#[must_use = "the request is under way for as long as this lives"]
pub(crate) struct Active(Arc<Series<GaugeCore>>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.data.add(-1.0);
    }
}

impl Recorder {
    fn new(side: &str, registry: &Registry) -> Self {
        let families = Arc::new(Families::new(side, registry.context()));
        for definition in families.definitions() {
            // Taken in advance, so that nobody else can take them.
            registry.take_names(definition);
        }
        registry.add(Arc::clone(&families) as Arc<dyn Source>);
        Self { families, filter: registry.context().filter }
    }

    /// Counts a request as active.
    pub(crate) fn begin(&self, begun: &Begun<'_>) -> Active {
        let mut labels = Labels::default();
        labels.begun(begun);
        let series = self.families.active.with_pairs(labels.pairs());
        series.data.add(1.0);
        Active(series)
    }

    /// Observes a request that is over.
    pub(crate) fn end(&self, ended: &Ended<'_>) {
        let mut labels = Labels::default();
        labels.begun(&ended.begun);
        if let Some(route) = ended.route {
            labels.push("http.route", LabelValue::Text(route));
        }
        if let Some(status) = ended.status {
            labels.push("http.response.status_code", LabelValue::Number(i64::from(status)));
        }
        if let Some(error_type) = ended.error_type {
            labels.push("error.type", LabelValue::Text(error_type));
        }
        let series = self.families.exchanges.with_pairs(labels.pairs());
        let exemplar = self.exemplar(ended.span);
        let exchange = &series.data;
        exchange.duration.observe(ended.duration.as_secs_f64(), exemplar);
        #[expect(clippy::cast_precision_loss, reason = "no body is so large that it matters")]
        let observe = |sizes: &HistogramCore, bytes: Option<u64>| {
            if let Some(bytes) = bytes {
                sizes.observe(bytes as f64, exemplar);
            }
        };
        observe(&exchange.request_bytes, ended.request_bytes);
        observe(&exchange.response_bytes, ended.response_bytes);
    }

    fn exemplar(&self, span: Option<SpanIds>) -> Option<Exemplar> {
        let ids = span?;
        let is_wanted = match self.filter {
            ExemplarFilter::AlwaysOn => true,
            ExemplarFilter::AlwaysOff => false,
            ExemplarFilter::TraceBased => ids.sampled,
        };
        is_wanted.then(|| Exemplar::at(ids, unix_nanos()))
    }
}

/// A request's labels, on the stack.
struct Labels<'a> {
    pairs: [Pair<'a>; 7],
    count: usize,
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Self { pairs: [("", LabelValue::Number(0)); 7], count: 0 }
    }
}

impl<'a> Labels<'a> {
    fn begun(&mut self, begun: &Begun<'a>) {
        self.push("http.request.method", LabelValue::Text(begun.method));
        self.push("url.scheme", LabelValue::Text(begun.scheme));
        if let Some((address, port)) = begun.server {
            self.push("server.address", LabelValue::Text(address));
            self.push("server.port", LabelValue::Number(i64::from(port)));
        }
    }

    fn push(&mut self, key: &'static str, value: LabelValue<'a>) {
        if let Some(place) = self.pairs.get_mut(self.count) {
            *place = (key, value);
            self.count += 1;
        }
    }

    fn pairs(&self) -> &[Pair<'a>] {
        &self.pairs[..self.count]
    }
}

/// The families of one side. Those of a request that is over share their labels, so that a request
/// looks its series up once.
struct Families {
    duration: Arc<Definition>,
    request_bytes: Arc<Definition>,
    response_bytes: Arc<Definition>,
    active_requests: Arc<Definition>,
    exchanges: SeriesMap<Exchange>,
    active: SeriesMap<GaugeCore>,
}

struct Exchange {
    duration: HistogramCore,
    request_bytes: HistogramCore,
    response_bytes: HistogramCore,
}

impl Families {
    fn new(side: &str, context: &Context) -> Self {
        let define = |what: &str, unit, help: &str, kind| {
            let name = format!("http.{side}.{what}");
            Arc::new(Definition::of_instrument(&name, unit, help, kind))
        };
        let (of_series, seconds, bytes) = (
            context.clone(),
            Arc::new(Bounds::new(SECONDS_BOUNDS)),
            Arc::new(Bounds::new(BYTES_BOUNDS)),
        );
        let exchange = move || Exchange {
            duration: Histogram::core(&of_series, &seconds),
            request_bytes: Histogram::core(&of_series, &bytes),
            response_bytes: Histogram::core(&of_series, &bytes),
        };
        let (defaults, losses) = (&context.defaults, &context.losses);
        let of_series = context.clone();
        let active = move || Gauge::core(&of_series, &());
        Self {
            duration: define("request.duration", "s", "Duration of requests", Kind::Histogram),
            request_bytes: define(
                "request.body.size",
                "By",
                "Size of requests' bodies",
                Kind::Histogram,
            ),
            response_bytes: define(
                "response.body.size",
                "By",
                "Size of responses' bodies",
                Kind::Histogram,
            ),
            active_requests: define(
                "active_requests",
                "{request}",
                "Requests that are under way",
                Kind::UpDownCounter,
            ),
            exchanges: SeriesMap::new(defaults.clone(), Arc::clone(losses), exchange),
            active: SeriesMap::new(defaults.clone(), Arc::clone(losses), active),
        }
    }

    fn definitions(&self) -> [&Definition; 4] {
        [&self.duration, &self.request_bytes, &self.response_bytes, &self.active_requests]
    }
}

impl Source for Families {
    fn read(&self, families: &mut Vec<Family>) {
        let exchanges = self.exchanges.all();
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
        let active = self.active.all();
        let points = active.iter().map(|series| point(series, Gauge::value(&series.data)));
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

    const GET: Begun<'static> = Begun { method: "GET", scheme: "http", server: None };
    const IDS: SpanIds = SpanIds { trace_id: [1; 16], span_id: [2; 8], sampled: true };

    fn ended<'a>(route: Option<&'a str>, status: u16) -> Ended<'a> {
        Ended {
            begun: GET,
            route,
            status: Some(status),
            error_type: None,
            duration: Duration::from_millis(30),
            request_bytes: None,
            response_bytes: Some(300),
            span: None,
        }
    }

    #[test]
    fn a_request_is_active_until_it_is_let_go_and_then_observed_with_its_span() {
        let registry = Registry::default();
        let recorder = Recorder::new("server", &registry);
        let active = recorder.begin(&GET);
        let given_up = recorder.begin(&GET);
        let line = "http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}";
        assert!(registry.to_openmetrics().contains(&format!("{line} 2.0\n")));
        drop((active, given_up));
        recorder.end(&Ended { span: Some(IDS), ..ended(Some("/users/{id}"), 200) });
        // Not sampled: it takes no exemplar away.
        let unsampled = SpanIds { sampled: false, trace_id: [3; 16], ..IDS };
        recorder.end(&Ended { span: Some(unsampled), ..ended(Some("/users/{id}"), 200) });
        let text = registry.to_openmetrics();
        assert!(text.contains(&format!("{line} 0.0\n")), "{text}");
        let labels = "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/users/{id}\",\
             http_response_status_code=\"200\"";
        let bucket =
            format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 2 # ");
        let line = text.lines().find(|line| line.starts_with(&bucket)).unwrap();
        assert!(line.contains(&"01".repeat(16)), "{line}");
        assert!(
            text.contains(&format!("http_server_response_body_size_bytes_sum{{{labels}}} 600.0\n"))
        );
        assert!(!text.contains("request_body_size"), "nobody told a size: {text}");
    }

    #[test]
    fn unmatched_requests_are_one_series_and_errors_have_their_words() {
        let registry = Registry::default();
        let recorder = Recorder::new("client", &registry);
        let begun = Begun { server: Some(("db", 80)), ..GET };
        for _ in 0..3 {
            let failed = Ended {
                begun,
                status: None,
                error_type: Some("timeout"),
                response_bytes: None,
                ..ended(None, 0)
            };
            recorder.end(&failed);
        }
        let text = registry.to_openmetrics();
        let count = "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
             url_scheme=\"http\",server_address=\"db\",server_port=\"80\",error_type=\"timeout\"} 3\n";
        assert!(text.contains(count), "{text}");
    }

    #[test]
    fn ever_new_values_end_at_the_cap() {
        let registry = Registry::default();
        let recorder = Recorder::new("server", &registry);
        for number in 0..10_000 {
            recorder.end(&ended(Some(&format!("/{number}")), 200));
        }
        let snapshot = registry.snapshot();
        let family = snapshot.family("http_server_request_duration_seconds").unwrap();
        assert_eq!(family.points.len(), 2_001);
    }
}

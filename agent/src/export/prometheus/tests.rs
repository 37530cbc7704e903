use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    Summary, SummaryDataPoint, exemplar, exponential_histogram_data_point, number_data_point,
    summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::*;
use crate::record::{MetricBatch, text_attribute};

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const DELTA: i32 = AggregationTemporality::Delta as i32;
const SECOND: u64 = 1_000_000_000;

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| text_attribute(key, *value)).collect()
}

fn instance(id: &str) -> Vec<KeyValue> {
    attributes(&[
        ("service.namespace", "shop"),
        ("service.name", "api"),
        ("service.instance.id", id),
        ("k8s.pod.name", "web-0"),
    ])
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: format!("About \"{name}\"\nand \\"),
        data: Some(data),
        ..Metric::default()
    }
}

fn from(resource: Vec<KeyValue>, scope: &str, metrics: Vec<Metric>) -> Arc<Batch> {
    let scope = InstrumentationScope { name: scope.to_owned(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..Default::default() }];
    let resource = Some(Resource { attributes: resource, ..Default::default() });
    let resource_metrics =
        vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }];
    Arc::new(Batch::Metrics(MetricBatch { resource_metrics }))
}

fn number(value: f64, start: u64, time: u64, labels: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start * SECOND,
        time_unix_nano: time * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn sum(points: Vec<NumberDataPoint>, is_monotonic: bool, temporality: i32) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic })
}

fn counter(value: f64, start: u64, time: u64) -> Metric {
    metric("hits", "1", sum(vec![number(value, start, time, &[])], true, CUMULATIVE))
}

fn delta(value: f64, time: u64) -> Metric {
    metric("hits", "1", sum(vec![number(value, time - 1, time, &[])], true, DELTA))
}

fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
    metric(name, "", Data::Gauge(Gauge { data_points: points }))
}

fn example(value: f64, time: u64, byte: u8) -> Exemplar {
    Exemplar {
        time_unix_nano: time * SECOND,
        trace_id: vec![byte; 16],
        span_id: vec![byte; 8],
        value: Some(exemplar::Value::AsDouble(value)),
        ..Default::default()
    }
}

fn histogram(counts: &[u64], time: u64, temporality: i32, exemplars: Vec<Exemplar>) -> Metric {
    let point = HistogramDataPoint {
        attributes: attributes(&[("http.route", "/x"), ("le", "mine")]),
        time_unix_nano: time * SECOND,
        explicit_bounds: vec![0.1, 1.0],
        bucket_counts: counts.to_vec(),
        count: counts.iter().sum(),
        sum: Some(2.5),
        exemplars,
        ..Default::default()
    };
    let histogram = Histogram { data_points: vec![point], aggregation_temporality: temporality };
    metric("request.duration", "s", Data::Histogram(histogram))
}

struct Scraped {
    exporter: Prometheus,
    metrics: Arc<SelfMetrics>,
}

impl Scraped {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let metrics = Arc::new(SelfMetrics::new());
        Self { exporter: Prometheus::new("prometheus", settings, Arc::clone(&metrics)), metrics }
    }

    fn take(&self, resource: Vec<KeyValue>, metrics: Vec<Metric>) -> &Self {
        self.exporter.take(&from(resource, "lib", metrics));
        self
    }

    /// The samples of one name, `target_info` and comments left out.
    fn samples(&self, name: &str) -> Vec<String> {
        let text = self.exporter.text(Format::OpenMetrics);
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    fn refused(&self, reason: &'static str) -> u64 {
        let label = ExporterReason { exporter: "prometheus".to_owned(), reason };
        self.metrics.points.refused.get_or_create(&label).get()
    }
}

#[test]
fn every_kind_of_point_is_written_as_prometheus_has_it() {
    let scraped = Scraped::new();
    let mut with_example = number(3.0, 1, 9, &[("path", "a\\b\"c\nd")]);
    with_example.exemplars = vec![example(1.0, 8, 1)];
    let exponential = ExponentialHistogramDataPoint {
        time_unix_nano: 9 * SECOND,
        scale: 0,
        zero_count: 1,
        count: 4,
        sum: Some(4.5),
        positive: Some(exponential_histogram_data_point::Buckets {
            offset: -1,
            bucket_counts: vec![1, 2],
        }),
        ..Default::default()
    };
    let summary = SummaryDataPoint {
        time_unix_nano: 9 * SECOND,
        count: 2,
        sum: 3.0,
        quantile_values: vec![summary_data_point::ValueAtQuantile { quantile: 0.5, value: 1.5 }],
        ..Default::default()
    };
    scraped.take(
        instance("i-1"),
        vec![
            metric("hits", "1", sum(vec![with_example], true, CUMULATIVE)),
            metric("active", "{request}", sum(vec![number(-2.0, 1, 9, &[])], false, CUMULATIVE)),
            metric("load", "1", Data::Gauge(Gauge { data_points: vec![number(0.5, 0, 9, &[])] })),
            histogram(&[1, 2, 3], 9, CUMULATIVE, vec![example(0.5, 8, 2)]),
            metric(
                "size",
                "By",
                Data::ExponentialHistogram(ExponentialHistogram {
                    data_points: vec![exponential],
                    aggregation_temporality: CUMULATIVE,
                }),
            ),
            metric("wait", "ms", Data::Summary(Summary { data_points: vec![summary] })),
        ],
    );
    let open_metrics = scraped.exporter.text(Format::OpenMetrics);
    assert_eq!(open_metrics, include_str!("golden.openmetrics.txt"));
    assert_eq!(scraped.exporter.text(Format::Text), include_str!("golden.text.txt"));
}

#[test]
fn deltas_are_added_up_each_once() {
    let scraped = Scraped::new();
    for (value, time) in [(2.0, 2), (3.0, 3), (3.0, 3), (9.0, 1), (1.5, 4)] {
        scraped.take(instance("i"), vec![delta(value, time)]);
    }
    assert_eq!(scraped.samples("hits_total"), [r#"hits_total{instance="i",job="shop/api"} 6.5"#]);
    assert_eq!(scraped.refused("out_of_order"), 2);

    for time in [2, 3] {
        scraped.take(instance("i"), vec![histogram(&[1, 0, 2], time, DELTA, vec![])]);
    }
    let count = scraped.samples("request_duration_seconds_count");
    assert!(count[0].ends_with(" 6"), "{count:?}");
    let sum = scraped.samples("request_duration_seconds_sum");
    assert!(sum[0].ends_with(" 5"), "{sum:?}");
}

#[test]
fn a_sender_that_starts_anew_begins_again_and_what_came_before_it_is_refused() {
    let scraped = Scraped::new();
    let hits = |value, start, time| {
        scraped.take(instance("i"), vec![counter(value, start, time)]);
        scraped.samples("hits_total")[0].rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(hits(10.0, 100, 110), "10");
    assert_eq!(hits(1.0, 200, 201), "1");
    // Sent by the one before, late.
    assert_eq!(hits(12.0, 100, 210), "1");
    assert_eq!(hits(5.0, 200, 211), "5");
    assert_eq!(hits(4.0, 200, 205), "5");
    assert_eq!(scraped.refused("out_of_order"), 2);
}

#[test]
fn two_senders_of_one_series_are_told_apart_by_their_instance() {
    let scraped = Scraped::new();
    scraped.take(instance("a"), vec![counter(1.0, 1, 2)]);
    scraped.take(instance("b"), vec![counter(7.0, 1, 2)]);
    let expected = [
        r#"hits_total{instance="a",job="shop/api"} 1"#,
        r#"hits_total{instance="b",job="shop/api"} 7"#,
    ];
    assert_eq!(scraped.samples("hits_total"), expected);
    assert_eq!(scraped.samples("target_info").len(), 2);
}

#[test]
fn two_libraries_of_one_series_are_told_apart_by_their_name() {
    let scraped = Scraped::new();
    for (scope, value) in [("one", 1.0), ("two", 2.0), ("one", 3.0), ("two", 4.0)] {
        let time = 1 + value as u64;
        scraped.exporter.take(&from(instance("i"), scope, vec![counter(value, 1, time)]));
    }
    let expected = [
        r#"hits_total{instance="i",job="shop/api"} 3"#,
        r#"hits_total{instance="i",job="shop/api",otel_scope_name="two"} 4"#,
    ];
    assert_eq!(scraped.samples("hits_total"), expected);
}

#[test]
fn a_name_belongs_to_the_type_that_had_it_first() {
    let scraped = Scraped::new();
    scraped.take(instance("i"), vec![histogram(&[1, 0, 0], 1, CUMULATIVE, vec![])]);
    let one = || vec![number(1.0, 0, 1, &[])];
    scraped.take(
        instance("i"),
        vec![
            gauge("request_duration_seconds", one()),
            gauge("request_duration_seconds_count", one()),
            gauge("target_info", one()),
            gauge("fine", one()),
        ],
    );
    assert_eq!(scraped.refused("type_conflict"), 3);
    assert_eq!(scraped.samples("fine").len(), 1);
    assert_eq!(scraped.samples("# TYPE request_duration_seconds").len(), 1);
}

#[test]
fn what_contradicts_itself_is_refused_and_the_rest_is_kept() {
    let scraped = Scraped::new();
    let unspecified = AggregationTemporality::Unspecified as i32;
    scraped.take(
        instance("i"),
        vec![
            metric("a", "", sum(vec![number(1.0, 0, 1, &[])], true, unspecified)),
            metric("b", "", sum(vec![number(-1.0, 0, 1, &[])], true, CUMULATIVE)),
            metric("c", "", sum(vec![number(f64::NAN, 0, 1, &[])], true, CUMULATIVE)),
            metric("日本", "", sum(vec![number(1.0, 0, 1, &[])], true, CUMULATIVE)),
            gauge("d", vec![NumberDataPoint::default(), number(1.0, 0, 1, &[])]),
        ],
    );
    assert_eq!(scraped.refused("malformed"), 5);
    assert_eq!(scraped.samples("d{").len(), 1);
}

#[test]
fn an_example_stays_until_a_newer_one_of_its_bucket_comes() {
    let scraped = Scraped::new();
    let bucket = |le: &str| {
        let lines = scraped.samples("request_duration_seconds_bucket");
        lines.into_iter().find(|line| line.contains(&format!("le=\"{le}\""))).unwrap()
    };
    let first = vec![example(0.05, 1, 1), example(0.5, 1, 2)];
    scraped.take(instance("i"), vec![histogram(&[1, 1, 0], 2, CUMULATIVE, first)]);
    scraped.take(
        instance("i"),
        vec![histogram(&[1, 2, 0], 3, CUMULATIVE, vec![example(0.7, 2, 3), example(0.6, 1, 4)])],
    );
    assert!(bucket("0.1").contains(&"01".repeat(16)));
    assert!(bucket("1.0").contains(&"03".repeat(16)));
}

#[tokio::test(start_paused = true)]
async fn a_silent_senders_series_are_hidden_and_go_on_where_they_were() {
    let scraped = Scraped::new();
    scraped.take(instance("a"), vec![delta(2.0, 2)]);
    tokio::time::advance(Duration::from_secs(299)).await;
    scraped.take(instance("b"), vec![delta(1.0, 2)]);
    assert_eq!(scraped.samples("hits_total").len(), 2);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(scraped.samples("hits_total").len(), 1);
    assert_eq!(scraped.samples("target_info").len(), 1);
    scraped.take(instance("a"), vec![delta(3.0, 400)]);
    assert_eq!(scraped.samples("hits_total")[0], r#"hits_total{instance="a",job="shop/api"} 5"#);
}

#[tokio::test(start_paused = true)]
async fn when_there_is_no_room_silent_senders_go_and_living_ones_stay() {
    let mut all = AllSeries::new(40_000, Duration::from_secs(300));
    let mut add = |sender: &str, series: usize| {
        let points = (0..series).map(|id| number(1.0, 1, 2, &[("id", &id.to_string())])).collect();
        let metric = metric("hits", "1", sum(points, true, CUMULATIVE));
        let batch = from(instance(sender), "lib", vec![metric]);
        let Batch::Metrics(batch) = &*batch else { panic!() };
        let mut refused = 0;
        samples::read(batch, &Naming::default(), |sender, family, point| {
            let added = all.add(sender, family, point.unwrap(), Instant::now());
            refused += usize::from(added == Err(samples::Refused::SeriesLimit));
        });
        assert!(all.size_bytes() <= 40_000);
        (refused, all.count())
    };
    let (refused, kept) = add("first", 200);
    assert!(refused > 0 && kept > 20, "{refused} refused, {kept} kept");
    assert_eq!(add("second", 5), (5, kept), "nobody is silent yet");
    tokio::time::advance(Duration::from_secs(301)).await;
    assert_eq!(add("second", 5), (0, 5));
    assert_eq!(add("second", 5), (0, 5), "points of what is there are always taken");
}

#[test]
fn what_has_no_value_any_more_is_not_shown() {
    let scraped = Scraped::new();
    let point = |flags, time| NumberDataPoint { flags, ..number(1.0, 0, time, &[]) };
    scraped.take(instance("i"), vec![gauge("g", vec![point(0, 1)])]);
    scraped.take(instance("i"), vec![gauge("g", vec![point(1, 2)])]);
    assert_eq!(scraped.samples("g{").len(), 0);
    scraped.take(instance("i"), vec![gauge("g", vec![point(0, 3)])]);
    assert_eq!(scraped.samples("g{").len(), 1);
}

#[test]
fn a_histogram_without_a_sum_has_no_count_in_openmetrics_which_would_be_an_error() {
    let scraped = Scraped::new();
    let Some(Data::Histogram(mut histogram)) = histogram(&[1, 2, 3], 9, CUMULATIVE, vec![]).data
    else {
        panic!()
    };
    histogram.data_points[0].sum = None;
    scraped.take(instance("i"), vec![metric("odd", "", Data::Histogram(histogram))]);
    assert_eq!(scraped.samples("odd_bucket").len(), 3);
    assert_eq!(scraped.samples("odd_count").len() + scraped.samples("odd_sum").len(), 0);
    assert!(scraped.exporter.text(Format::Text).contains("\nodd_count{"));
}

use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;

use crate::metrics::Registry;

type Labels = [(String, String); 1];

fn labels(name: &str, value: &str) -> Labels {
    [(name.to_owned(), value.to_owned())]
}

#[test]
fn every_kind_of_metric_is_served_with_its_exemplars() {
    let registry = Registry::default();
    let orders = Family::<Labels, Counter>::default();
    orders.get_or_create(&labels("shop", "a\"b\n")).inc_by(3);
    registry.register("orders_total", "Orders taken", orders).unwrap();
    let level = Gauge::<i64>::default();
    level.set(-4);
    registry.register("level", "Help", level).unwrap();
    let big = Gauge::<u64, std::sync::atomic::AtomicU64>::default();
    big.set(u64::MAX);
    registry.register("big", "Help", big).unwrap();
    registry.register("built", "Help", Info::new(labels("version", "1"))).unwrap();
    registry.register("fixed", "Help", ConstCounter::new(7_u64)).unwrap();
    let plain = Histogram::new([1.0, 10.0]);
    for value in [0.5, 5.0, 6.0, 50.0] {
        plain.observe(value);
    }
    registry.register("plain", "Help", plain).unwrap();
    let time = Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250));
    let wait = HistogramWithExemplars::<Labels>::new([1.0].into_iter());
    wait.observe(2.0, Some(labels("trace_id", "abc")), time);
    registry.register("wait_seconds", "Help", wait).unwrap();
    let seen = CounterWithExemplar::<Labels>::default();
    seen.inc_by(2, Some(labels("trace_id", "def")), time);
    registry.register("seen", "Help", seen).unwrap();
    let text = registry.to_openmetrics();
    for line in [
        "# HELP orders Orders taken",
        "orders_total{shop=\"a\\\"b\\n\"} 3",
        "level -4.0",
        "# TYPE built info",
        "built_info{version=\"1\"} 1.0",
        "fixed_total 7",
        "plain_bucket{le=\"1.0\"} 1",
        "plain_bucket{le=\"10.0\"} 3",
        "plain_bucket{le=\"+Inf\"} 4",
        "plain_sum 61.5",
        "plain_count 4",
        "wait_seconds_bucket{le=\"+Inf\"} 1 # {trace_id=\"abc\"} 2.0 1700000000.250",
        "seen_total 2 # {trace_id=\"def\"} 2.0 1700000000.250",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn an_exemplar_that_is_too_long_is_left_out() {
    let registry = Registry::default();
    let seen = CounterWithExemplar::<Labels>::default();
    seen.inc_by(1, Some(labels("trace_id", &"é".repeat(121))), None);
    registry.register("seen", "Help", seen).unwrap();
    assert!(registry.to_openmetrics().contains("seen_total 1\n"));
}

#[derive(Debug)]
struct Faulty;

impl EncodeMetric for Faulty {
    fn encode(&self, _: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        prometheus_client::metrics::MetricType::Gauge
    }
}

#[test]
fn a_metric_that_cannot_be_read_costs_itself_only() {
    let registry = Registry::default();
    registry.register("faulty", "Help", Faulty).unwrap();
    registry.register("fine", "Help", Gauge::<i64>::default()).unwrap();
    let text = registry.to_openmetrics();
    assert!(text.contains("fine 0.0\n") && !text.contains("faulty"), "{text}");
}

#[test]
fn an_exemplar_s_ids_are_written_as_they_were_given() {
    let (trace, span) = ("00f067aa0ba902b70af7651916cd43dd", "00f067aa0ba902b7");
    for ids in [
        [("trace_id", trace), ("span_id", span)],
        [("span_id", span), ("trace_id", trace)],
        [("trace_id", trace), ("span_id", "00F067AA0BA902B7")],
        [("trace_id", trace), ("span_id", "+0f067aa0ba902b7")],
        [("trace_id", "4bf92f"), ("span_id", span)],
        [("trace_id", trace), ("user", span)],
    ] {
        let registry = Registry::default();
        let seen = CounterWithExemplar::<[(&str, &str); 2]>::default();
        seen.inc_by(1, Some(ids), None);
        registry.register("seen", "Help", seen).unwrap();
        let [(first, one), (second, two)] = ids;
        let sample = format!("seen_total 1 # {{{first}=\"{one}\",{second}=\"{two}\"}} 1.0\n");
        let text = registry.to_openmetrics();
        assert!(text.contains(&sample), "{text}");
    }
}

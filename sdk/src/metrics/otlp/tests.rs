use opentelemetry_sdk::Resource;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;

use super::*;
use crate::metrics::{Exemplar as TraceExemplar, Registry};

const TRACE: TraceExemplar =
    TraceExemplar { trace_id: [1; 16], span_id: [2; 8], unix_nanos: 1_700_000_000_000_000_000 };

fn encoder(temporality: Temporality) -> Encoder {
    Encoder::new(&Resource::builder_empty().build(), temporality)
}

fn metric(request: &ExportMetricsServiceRequest, name: &str) -> Metric {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    metrics.find(|metric| metric.name == name).unwrap().clone()
}

fn sum(request: &ExportMetricsServiceRequest, name: &str) -> Sum {
    match metric(request, name).data.unwrap() {
        metric::Data::Sum(sum) => sum,
        other => panic!("{other:?}"),
    }
}

fn histogram(request: &ExportMetricsServiceRequest, name: &str) -> HistogramDataPoint {
    match metric(request, name).data.unwrap() {
        metric::Data::Histogram(histogram) => histogram.data_points[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_push_says_what_a_scrape_says() {
    let registry = Registry::default();
    let orders = registry.counters("orders", "Orders taken", ["shop"]).unwrap();
    orders.with(["berlin"]).inc_by_with(3, TRACE);
    let wait = registry.histogram("wait_seconds", "Waiting", [0.5, 1.0]).unwrap();
    wait.observe_with(0.25, TRACE);
    wait.observe(7.0);
    let snapshot = registry.snapshot();
    let (request, _) = encoder(Temporality::Cumulative).encode(&snapshot);

    let orders = sum(&request, "orders");
    assert!(orders.is_monotonic);
    assert_eq!(orders.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let point = &orders.data_points[0];
    assert_eq!(point.attributes, [text("shop", "berlin")]);
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(3)));
    assert!(point.start_time_unix_nano > 0);
    assert!(point.start_time_unix_nano <= point.time_unix_nano);
    assert_eq!(point.exemplars[0].trace_id, TRACE.trace_id);
    assert_eq!(point.exemplars[0].span_id, TRACE.span_id);
    assert_eq!(point.exemplars[0].time_unix_nano, TRACE.unix_nanos);

    assert_eq!(metric(&request, "wait_seconds").unit, "s");
    let point = histogram(&request, "wait_seconds");
    assert_eq!((point.count, point.sum), (2, Some(7.25)));
    assert_eq!(point.explicit_bounds, [0.5, 1.0]);
    assert_eq!(point.bucket_counts, [1, 0, 1]);
    assert_eq!(point.exemplars.len(), 1);
}

#[test]
fn a_prometheus_client_exemplar_keeps_its_ids() {
    let registry = Registry::default();
    let wait = HistogramWithExemplars::<[(String, String); 2]>::new([1.0].into_iter());
    let ids = [("trace_id".to_owned(), "ab".repeat(16)), ("user".to_owned(), "7".to_owned())];
    wait.observe(0.5, Some(ids), None);
    registry.register("wait", "Waiting", wait).unwrap();
    let (request, _) = encoder(Temporality::Cumulative).encode(&registry.snapshot());
    let exemplar = &histogram(&request, "wait").exemplars[0];
    assert_eq!(exemplar.trace_id, [0xab; 16]);
    assert_eq!(exemplar.filtered_attributes, [text("user", "7")]);
}

#[test]
fn deltas_begin_where_the_last_push_that_arrived_ended() {
    let registry = Registry::default();
    let orders = registry.counter("orders", "Orders taken").unwrap();
    let wait = registry.histogram("wait_seconds", "Waiting", [1.0]).unwrap();
    let mut encoder = encoder(Temporality::Delta);
    let said = |request: &ExportMetricsServiceRequest| {
        let value = sum(request, "orders").data_points[0].value;
        (value, histogram(request, "wait_seconds").bucket_counts)
    };
    let int = |number| Some(number_data_point::Value::AsInt(number));
    orders.inc_by(2);
    wait.observe(0.5);
    let first = registry.snapshot();
    let (request, told) = encoder.encode(&first);
    assert_eq!(said(&request), (int(2), vec![1, 0]));
    encoder.delivered(told);
    orders.inc_by(3);
    wait.observe(2.0);
    // This one is lost on its way.
    let (request, _) = encoder.encode(&registry.snapshot());
    assert_eq!(said(&request), (int(3), vec![0, 1]));
    orders.inc();
    let (request, _) = encoder.encode(&registry.snapshot());
    assert_eq!(said(&request), (int(4), vec![0, 1]));
    let sum = sum(&request, "orders");
    assert_eq!(sum.data_points[0].start_time_unix_nano, first.unix_nanos);
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
}

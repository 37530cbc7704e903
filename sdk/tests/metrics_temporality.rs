//! `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` from the environment to the wire: each case is a process of its own.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod harness {
    pub(crate) mod push;
}

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, Sum, metric, number_data_point,
};
use prost::Message as _;

use harness::push::request;

const ROLE: &str = "SPANLINE_TEST_PUSHER";

/// The role of the process that [`pushes_of`] starts; in the test's own there is nothing to do.
#[test]
fn a_service() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let telemetry = spanline::init("checkout");
    let registry = telemetry.registry();
    let counter = registry.counter("orders", "Orders taken").unwrap();
    let histogram = registry.histogram("weights", "Weights of orders", [1.0, 5.0]).unwrap();
    let _observed = opentelemetry::global::meter("shop")
        .u64_observable_counter("boxes")
        .with_callback(|observer| observer.observe(10, &[]))
        .build();
    counter.inc_by(3);
    histogram.observe(2.0);
    let delivered = || {
        let text = registry.to_openmetrics();
        let count = text.lines().find_map(|line| {
            line.strip_prefix("spanline_metric_pushes_total{result=\"delivered\"} ")
        });
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    // One push may have begun before the order was counted: after two more, one has told it.
    let (wanted, deadline) = (delivered() + 2, Instant::now() + Duration::from_secs(20));
    while delivered() < wanted {
        assert!(Instant::now() < deadline, "pushes are delivered");
        thread::sleep(Duration::from_millis(5));
    }
    counter.inc_by(4);
    histogram.observe(3.0);
    telemetry.shutdown();
}

/// All that a service pushes with a preference.
fn pushes_of(preference: &str) -> Vec<ExportMetricsServiceRequest> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, pushes) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (_, body) = request(&mut stream);
            let _ = sender.send(ExportMetricsServiceRequest::decode(&body[..]).unwrap());
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        }
    });
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_service", "--nocapture"])
        .env_clear()
        .env(ROLE, "1")
        .env("OTEL_METRICS_EXPORTER", "otlp")
        .env("OTEL_TRACES_EXPORTER", "none")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
        .env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pushes.try_iter().collect()
}

fn data(push: &ExportMetricsServiceRequest, name: &str) -> Option<metric::Data> {
    let scopes = push.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    metrics.find(|metric| metric.name == name)?.data.clone()
}

fn sums(pushes: &[ExportMetricsServiceRequest], name: &str) -> Vec<Sum> {
    let sums = pushes.iter().filter_map(|push| data(push, name)).map(|data| match data {
        metric::Data::Sum(sum) => sum,
        other => panic!("{other:?}"),
    });
    sums.collect()
}

fn histograms(pushes: &[ExportMetricsServiceRequest]) -> Vec<Histogram> {
    let all = pushes.iter().filter_map(|push| data(push, "weights")).map(|data| match data {
        metric::Data::Histogram(histogram) => histogram,
        other => panic!("{other:?}"),
    });
    all.collect()
}

fn value(sum: &Sum) -> i64 {
    match sum.data_points[0].value {
        Some(number_data_point::Value::AsInt(value)) => value,
        Some(number_data_point::Value::AsDouble(value)) => value as i64,
        None => panic!("{sum:?}"),
    }
}

/// Each point begins where the one before ended, and together they are all.
#[track_caller]
fn are_deltas(sums: &[Sum], total: i64) {
    assert!(
        sums.iter().all(|sum| sum.aggregation_temporality == AggregationTemporality::Delta as i32)
    );
    assert_eq!(sums.iter().map(value).sum::<i64>(), total);
    for pair in sums.windows(2) {
        let [before, after] = [&pair[0].data_points[0], &pair[1].data_points[0]];
        assert_eq!(after.start_time_unix_nano, before.time_unix_nano);
    }
}

/// Each point has the same beginning, and tells all since then.
#[track_caller]
fn are_cumulative(sums: &[Sum], total: i64) {
    let cumulative = AggregationTemporality::Cumulative as i32;
    assert!(sums.iter().all(|sum| sum.aggregation_temporality == cumulative));
    assert_eq!(sums.last().map(value), Some(total));
    let start = |sum: &Sum| sum.data_points[0].start_time_unix_nano;
    assert!(sums.iter().all(|sum| start(sum) == start(&sums[0])));
}

#[test]
fn a_preference_for_deltas_holds_for_all_that_is_added_up() {
    let pushes = pushes_of("delta");
    are_deltas(&sums(&pushes, "orders"), 7);
    are_deltas(&sums(&pushes, "boxes"), 10);
    let histograms = histograms(&pushes);
    let delta = AggregationTemporality::Delta as i32;
    assert!(histograms.iter().all(|histogram| histogram.aggregation_temporality == delta));
    assert_eq!(histograms.iter().map(|h| h.data_points[0].count).sum::<u64>(), 2);
}

#[test]
fn a_preference_for_low_memory_gives_deltas_but_of_what_is_observed() {
    let pushes = pushes_of("lowmemory");
    are_deltas(&sums(&pushes, "orders"), 7);
    are_cumulative(&sums(&pushes, "boxes"), 10);
    assert_eq!(histograms(&pushes).iter().map(|h| h.data_points[0].count).sum::<u64>(), 2);
}

#[test]
fn without_deltas_every_push_tells_all_since_the_start() {
    let pushes = pushes_of("cumulative");
    are_cumulative(&sums(&pushes, "orders"), 7);
    are_cumulative(&sums(&pushes, "boxes"), 10);
    assert_eq!(histograms(&pushes).last().map(|h| h.data_points[0].count), Some(2));
}

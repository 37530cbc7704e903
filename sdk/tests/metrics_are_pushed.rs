//! Way 2 and 3: metrics are pushed by OTLP, with the names, labels and exemplars that a scraper sees, and once
//! more at the shutdown.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod harness {
    pub(crate) mod push;
}

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Sum, metric, number_data_point,
};
use prost::Message as _;

use harness::push::request;

/// Takes pushes, and says "later" to the first one.
fn receiver() -> (String, mpsc::Receiver<ExportMetricsServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, pushes) = mpsc::channel();
    thread::spawn(move || {
        let mut answered = 0;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (path, body) = request(&mut stream);
            let is_push = path == "/v1/metrics";
            let status = if is_push && answered == 0 { "503 Unavailable" } else { "200 OK" };
            answered += usize::from(is_push);
            if is_push && status == "200 OK" {
                let _ = sender.send(ExportMetricsServiceRequest::decode(&body[..]).unwrap());
            }
            write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        }
    });
    (address, pushes)
}

fn orders(push: &ExportMetricsServiceRequest) -> Option<Sum> {
    let scopes = push.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    match metrics.find(|metric| metric.name == "orders")?.data.clone()? {
        metric::Data::Sum(sum) => Some(sum),
        other => panic!("{other:?}"),
    }
}

// One test, since a process has one telemetry.
#[test]
fn pushes_say_what_a_scraper_sees_and_the_last_one_comes_at_the_shutdown() {
    let (endpoint, pushes) = receiver();
    let telemetry = spanline::builder("checkout")
        .otlp_endpoint(endpoint)
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .push_metrics(Duration::from_millis(50))
        .metric_label("zone", "a")
        .init();
    let counter = telemetry.registry().counter("orders", "Orders taken").unwrap();
    let trace_id = opentelemetry::global::tracer("test").in_span("order", |context| {
        counter.inc_by(3);
        context.span().span_context().trace_id()
    });
    // One that was made before all three were counted may come first.
    let has_all = |push: &ExportMetricsServiceRequest| {
        let value = orders(push).and_then(|sum| sum.data_points[0].value);
        value == Some(number_data_point::Value::AsInt(3))
    };
    let first = loop {
        let push = pushes.recv_timeout(Duration::from_secs(10)).unwrap();
        if has_all(&push) {
            break push;
        }
    };
    let resource = first.resource_metrics[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|pair| pair.key == "service.name"), "{resource:?}");
    let sum = orders(&first).unwrap();
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let point = &sum.data_points[0];
    assert_eq!(point.attributes[0].key, "zone");
    assert_eq!(point.exemplars[0].trace_id, trace_id.to_bytes());

    // What is counted right before the end is in the last push.
    counter.inc_by(4);
    telemetry.shutdown();
    let last = pushes.try_iter().last().unwrap();
    let again = &orders(&last).unwrap().data_points[0];
    assert_eq!(again.value, Some(number_data_point::Value::AsInt(7)));
    assert_eq!(again.start_time_unix_nano, point.start_time_unix_nano);
    assert!(again.time_unix_nano >= point.time_unix_nano);
}

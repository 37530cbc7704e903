//! A scrape and a push at one time, the push by gRPC: the receiver gets the names, labels and values that the
//! scraper reads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod harness {
    #[allow(dead_code, reason = "another test reads more of it")]
    pub(crate) mod openmetrics;
}

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::Tracer as _;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{self as common, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use prometheus_client::metrics::gauge::Gauge;
use spanline::{LogOutput, OtlpProtocol};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use harness::openmetrics;

struct Receiver(mpsc::Sender<ExportMetricsServiceRequest>);

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let _ = self.0.send(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn receiver() -> (SocketAddr, mpsc::Receiver<ExportMetricsServiceRequest>) {
    let (sender, pushes) = mpsc::channel();
    let (told, address) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            told.send(incoming.local_addr().unwrap()).unwrap();
            let service = MetricsServiceServer::new(Receiver(sender));
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
    });
    (address.recv().unwrap(), pushes)
}

/// Samples by name and labels, as an exposition has them.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn labels(attributes: &[common::KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &common::AnyValue| match value.value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let pair =
        |pair: &common::KeyValue| (pair.key.replace('.', "_"), text(pair.value.as_ref().unwrap()));
    attributes.iter().map(pair).collect()
}

/// What Prometheus makes of a metric that it gets by OTLP.
fn translated(metric: &Metric, samples: &mut Samples) {
    let mut name = metric.name.replace('.', "_");
    if metric.unit == "s" && !name.ends_with("_seconds") {
        name.push_str("_seconds");
    }
    let value = |value: Option<number_data_point::Value>| match value.unwrap() {
        number_data_point::Value::AsInt(number) => number as f64,
        number_data_point::Value::AsDouble(number) => number,
    };
    let points = match metric.data.as_ref().unwrap() {
        metric::Data::Sum(sum) => {
            if sum.is_monotonic {
                name.push_str("_total");
            }
            &sum.data_points
        }
        metric::Data::Gauge(gauge) => &gauge.data_points,
        metric::Data::Histogram(histogram) => {
            for point in &histogram.data_points {
                let own = labels(&point.attributes);
                let bounds = point.explicit_bounds.iter().map(|bound| format!("{bound:?}"));
                let mut total = 0;
                let bounds = bounds.chain(["+Inf".to_owned()]);
                for (bound, count) in bounds.zip(&point.bucket_counts) {
                    total += count;
                    let mut own = own.clone();
                    own.insert("le".to_owned(), bound);
                    samples.insert((format!("{name}_bucket"), own), total as f64);
                }
                assert_eq!(point.count, total);
                samples.insert((format!("{name}_count"), own.clone()), total as f64);
                samples.insert((format!("{name}_sum"), own), point.sum.unwrap());
            }
            return;
        }
        other => panic!("{other:?}"),
    };
    for point in points {
        samples.insert((name.clone(), labels(&point.attributes)), value(point.value));
    }
}

/// The families that do not move by themselves.
fn is_ours(name: &str) -> bool {
    ["orders", "wait_", "rows", "carts", "db_"].iter().any(|start| name.starts_with(start))
}

// One test, since a process has one telemetry.
#[test]
fn a_push_by_grpc_and_a_scrape_have_the_same_names_labels_and_values() {
    let (address, pushes) = receiver();
    let telemetry = spanline::builder("checkout")
        .log_output(LogOutput::Discard)
        .otlp_endpoint(format!("http://{address}"))
        .otlp_protocol(OtlpProtocol::Grpc)
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .push_metrics(Duration::from_millis(100))
        .metric_label("zone", "a")
        .init();
    let registry = telemetry.registry();
    opentelemetry::global::tracer("test").in_span("request", |_| {
        registry.counters("orders", "Orders", ["shop"]).unwrap().with(["b\"\\\n"]).inc_by(3);
        registry.histogram("wait_seconds", "Waiting", [0.1, 1.0]).unwrap().observe(0.5);
    });
    registry.gauge("carts", "Carts").unwrap().set(2.5);
    let rows = Gauge::<i64>::default();
    rows.set(-7);
    registry.register("rows", "Rows", rows).unwrap();
    let meter = opentelemetry::global::meter("library");
    let calls = meter.f64_histogram("db.calls").with_unit("s").build();
    calls.record(0.25, &[KeyValue::new("db.system", "x"), KeyValue::new("db.shard", 4)]);
    meter.u64_counter("db.rows").build().add(9, &[]);
    meter.i64_up_down_counter("db.connections").build().add(-1, &[]);

    let scraped = openmetrics::openmetrics(&registry.to_openmetrics());
    let scraped: Samples = (scraped.samples.into_iter())
        .filter(|sample| is_ours(&sample.name))
        .map(|sample| ((sample.name, sample.labels), sample.value))
        .collect();
    assert_eq!(scraped.len(), 27, "{scraped:#?}");
    // The last push is of what was scraped here.
    telemetry.shutdown();
    let last = pushes.try_iter().last().unwrap();
    let mut pushed = Samples::new();
    let scopes = last.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        if is_ours(&metric.name.replace('.', "_")) {
            translated(metric, &mut pushed);
        }
    }
    assert_eq!(pushed, scraped);
    let resource = last.resource_metrics[0].resource.as_ref().unwrap();
    assert_eq!(labels(&resource.attributes)["service_name"], "checkout");
}

//! Way 1: a scraper finds every metric of the process at `/metrics`, in the format that it asks for.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod harness {
    pub(crate) mod openmetrics;
}

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use spanline::{LogFormat, LogOutput};

use harness::openmetrics;

const HOSTILE: &str = "a\"b\\c\nd# {e=\"f\"} é\u{1b}\r}";

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    Answer { head, body: answer[end + 4..].to_vec() }
}

// One test, since a process has one telemetry.
#[test]
fn a_scraper_finds_the_same_numbers_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let telemetry = spanline::builder("checkout")
        .log_format(LogFormat::Json)
        .log_output(LogOutput::File(file.clone()))
        .otlp_endpoint("http://127.0.0.1:9")
        .resource_attribute("team", HOSTILE)
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .metric_label("service", "checkout")
        .shutdown_timeout(Duration::from_secs(1))
        .init();
    let address = telemetry.metrics_addr().expect("metrics are served");
    let registry = telemetry.registry();
    let orders = registry.counters("orders", "Orders \"taken\" \\ here", ["shop"]).unwrap();
    let wait = registry.histogram("wait_seconds", "Waiting", [0.1, 1.0, 1e6]).unwrap();
    let meter = opentelemetry::global::meter("library");
    let calls = meter.u64_counter("db.calls").build();
    let rows = prometheus_client::metrics::gauge::Gauge::<i64>::default();
    registry.register("rows", "Rows", rows.clone()).unwrap();
    rows.set(7);

    let tracer = opentelemetry::global::tracer("test");
    let trace_id = tracer.in_span("request", |context| {
        orders.with([HOSTILE]).inc();
        wait.observe(0.5);
        calls.add(2, &[KeyValue::new("db.system", HOSTILE)]);
        context.span().span_context().trace_id().to_string()
    });
    // Outside of a span: no exemplar, and none that is there is erased.
    orders.with([HOSTILE]).inc();
    wait.observe(0.6);

    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let answer = get(address, "/metrics", accept);
    assert!(answer.head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let found = openmetrics::openmetrics(answer.text());
    let order = found.sample("orders_total", &[("shop", HOSTILE), ("service", "checkout")]);
    assert_eq!(order.value, 2.0);
    let (labels, value, time) = order.exemplar.clone().unwrap();
    assert_eq!((&labels["trace_id"], labels["span_id"].len(), value), (&trace_id, 16, 1.0));
    assert!(time.unwrap() > 1.7e9);
    let bucket = found.sample("wait_seconds_bucket", &[("le", "1.0")]);
    assert_eq!(bucket.value, 2.0);
    assert_eq!(bucket.exemplar.clone().unwrap().0["trace_id"], trace_id);
    assert!(found.sample("wait_seconds_bucket", &[("le", "0.1")]).exemplar.is_none());
    let call = found.sample("db_calls_total", &[("db_system", HOSTILE)]);
    assert_eq!(call.value, 2.0);
    assert_eq!(call.exemplar.clone().unwrap().0["trace_id"], trace_id);
    assert_eq!(found.value("rows", &[("service", "checkout")]), 7.0);
    let target = found.sample("target_info", &[("team", HOSTILE)]);
    assert!(!target.labels.contains_key("service_name"), "that is the label job");

    let plain = get(address, "/metrics", "");
    assert!(plain.head.contains("text/plain; version=0.0.4; charset=utf-8"));
    let same = openmetrics::prometheus(plain.text());
    assert_eq!(same.value("orders_total", &[("shop", HOSTILE)]), 2.0);
    assert_eq!(same.value("wait_seconds_count", &[]), 2.0);
    assert_eq!(same.kinds["orders_total"], "counter");

    let zipped = get(address, "/metrics", "accept-encoding: gzip\r\n");
    assert!(zipped.head.contains("content-encoding: gzip"), "{}", zipped.head);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(openmetrics::prometheus(&text).value("rows", &[]), 7.0);
    assert!(get(address, "/other", "").head.starts_with("http/1.1 404"));

    // The same on a port of the service.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mounted = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let mounted_address = mounted.local_addr().unwrap();
    let app = axum::Router::new().nest("/prometheus", telemetry.metrics_router());
    runtime.spawn(async { axum::serve(mounted, app).await });
    let answer = get(mounted_address, "/prometheus/metrics", accept);
    assert_eq!(openmetrics::openmetrics(answer.text()).value("rows", &[]), 7.0);

    // Scrapers that say nothing take the places, and no more than those: others still come in.
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let began = Instant::now();
    get(address, "/metrics", "");
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(silent);

    telemetry.shutdown();
    assert!(TcpStream::connect(address).is_err(), "the port is free again");
    drop(TcpListener::bind(address).unwrap());
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(!lines.contains("metrics cannot be served"), "{lines}");
}

//! Metrics that were stored are read as a reader of Prometheus asks for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use spanline_agent::record::{Batch, MetricBatch, text_attribute};
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::store::{Config, Store};
use spanline_agent::web;
use tower::ServiceExt;

const SECOND: u64 = 1_000_000_000;
/// When the first point was taken.
const BEGAN: u64 = 1_800_000_000;
const INTERVAL: u64 = 15;
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

struct Api {
    store: Store,
    metrics: Arc<SelfMetrics>,
    _folder: tempfile::TempDir,
}

fn open(folder: &Path, metrics: &Arc<SelfMetrics>) -> Store {
    let mut config = Config::new(folder);
    config.max_bytes = 16 * 1024 * 1024;
    Store::open(config, Arc::clone(metrics)).unwrap()
}

impl Api {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = Arc::new(SelfMetrics::new());
        Self { store: open(folder.path(), &metrics), metrics, _folder: folder }
    }

    async fn store(&self, service: &str, metrics: Vec<Metric>) {
        let attributes = vec![
            text_attribute("service.name", service),
            text_attribute("service.instance.id", "1"),
        ];
        let batch = ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            schema_url: String::new(),
        };
        let batch = MetricBatch { resource_metrics: vec![batch] };
        self.store.write(Arc::new(Batch::Metrics(batch))).await.unwrap();
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9880));
        let response =
            web::router(self.store.clone(), address).oneshot(request).await.expect("infallible");
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> (StatusCode, Value) {
        let uri = format!("{path}?{}", form(parameters));
        let request = Request::get(uri).header(header::HOST, "127.0.0.1:9880");
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    /// The data of an answer.
    async fn data(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let (status, mut answer) = self.get(path, parameters).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["status"], "success");
        answer["data"].take()
    }

    /// What a query is, so many seconds after the first point: labels and values.
    async fn query(&self, query: &str, after: u64) -> Vec<(Value, String)> {
        let time = (BEGAN + after).to_string();
        let data = self.data("/api/v1/query", &[("query", query), ("time", &time)]).await;
        assert_eq!(data["resultType"], "vector", "{query}");
        let one = |series: &Value| {
            (series["metric"].clone(), series["value"][1].as_str().unwrap().to_owned())
        };
        data["result"].as_array().unwrap().iter().map(one).collect()
    }
}

fn form(parameters: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn number(value: f64, time: u64, labels: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        attributes: labels.iter().map(|(key, value)| text_attribute(key, *value)).collect(),
        start_time_unix_nano: BEGAN * SECOND,
        time_unix_nano: (BEGAN + time) * SECOND,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: format!("About {name}"),
        data: Some(data),
        ..Metric::default()
    }
}

fn counter(points: Vec<NumberDataPoint>, temporality: AggregationTemporality) -> Metric {
    let sum = Sum {
        data_points: points,
        aggregation_temporality: temporality as i32,
        is_monotonic: true,
    };
    metric("hits", "1", Data::Sum(sum))
}

fn cumulative(points: Vec<NumberDataPoint>) -> Metric {
    counter(points, AggregationTemporality::Cumulative)
}

/// `n` requests under 0.1 s and `n` under 1 s.
fn durations(n: u64, time: u64) -> Metric {
    durations_at(n, BEGAN + time)
}

fn durations_at(n: u64, unix_seconds: u64) -> Metric {
    let example = Exemplar {
        time_unix_nano: (unix_seconds - 1) * SECOND,
        trace_id: (0..16)
            .map(|at| u8::from_str_radix(&TRACE_ID[at * 2..][..2], 16).unwrap())
            .collect(),
        span_id: vec![7; 8],
        value: Some(exemplar::Value::AsDouble(0.5)),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        attributes: vec![
            text_attribute("http.route", "/<script>"),
            text_attribute("http.response.status_code", "500"),
        ],
        time_unix_nano: unix_seconds * SECOND,
        explicit_bounds: vec![0.1, 1.0],
        bucket_counts: vec![n, n, 0],
        count: 2 * n,
        sum: Some(n as f64),
        exemplars: vec![example],
        ..HistogramDataPoint::default()
    };
    let histogram = Histogram {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
    };
    metric("http.server.request.duration", "s", Data::Histogram(histogram))
}

#[tokio::test]
async fn a_counters_rate_is_what_prometheus_reckons() {
    let api = Api::new();
    for n in 0..=20 {
        let time = n * INTERVAL;
        let points = vec![
            number((n * 30) as f64, time, &[("code", "200")]),
            number((n * 15) as f64, time, &[("code", "500")]),
        ];
        api.store("api", vec![cumulative(points)]).await;
    }
    let now = 300;
    let rates = api.query("rate(hits_total[1m])", now).await;
    let labels = json!({"code": "200", "instance": "1", "job": "api"});
    assert_eq!(rates[0], (labels, "2".to_owned()));
    assert_eq!(rates[1].1, "1");
    let sum = api.query("sum by (job) (rate(hits_total{code=~\"2..|5..\"}[1m]))", now).await;
    assert_eq!(sum, [(json!({"job": "api"}), "3".to_owned())]);
    let share = "sum(rate(hits_total{code=\"500\"}[1m])) / sum(rate(hits_total[1m])) * 3";
    assert_eq!(api.query(share, now).await, [(json!({}), "1".to_owned())]);
    let steps = [
        ("query", "hits_total{code=\"200\"}"),
        ("start", "1800000000"),
        ("end", "1800000060"),
        ("step", "30s"),
    ];
    let matrix = api.data("/api/v1/query_range", &steps).await;
    assert_eq!(matrix["resultType"], "matrix");
    let values = json!([[1_800_000_000.0, "0"], [1_800_000_030.0, "60"], [1_800_000_060.0, "120"]]);
    assert_eq!(matrix["result"][0]["values"], values);
    assert_eq!(matrix["result"][0]["metric"]["__name__"], "hits_total");
    // A sample counts for five minutes.
    assert_eq!(api.query("hits_total", now + 299).await.len(), 2);
    assert_eq!(api.query("hits_total", now + 301).await.len(), 0);
}

#[tokio::test]
async fn a_histogram_is_read_by_its_buckets_and_leads_to_a_trace() {
    let api = Api::new();
    for n in 0..=8 {
        api.store("api", vec![durations(n * 10, n * INTERVAL)]).await;
    }
    let name = "http_server_request_duration_seconds";
    let bucket = api.query(&format!("{name}_bucket{{le=\"1.0\"}}"), 120).await;
    assert_eq!(bucket[0].1, "160");
    assert_eq!(bucket[0].0["le"], "1.0");
    assert_eq!(api.query(&format!("{name}_count"), 120).await[0].1, "160");
    assert_eq!(api.query(&format!("{name}_sum"), 120).await[0].1, "80");
    let median = format!("histogram_quantile(0.75, sum by (le) (rate({name}_bucket[1m])))");
    assert_eq!(api.query(&median, 120).await, [(json!({}), "0.55".to_owned())]);

    let times = [
        ("query", &*format!("rate({name}_bucket[1m])")),
        ("start", "1800000000"),
        ("end", "1800000200"),
    ];
    let exemplars = api.data("/api/v1/query_exemplars", &times).await;
    assert_eq!(exemplars[0]["seriesLabels"]["le"], "1.0");
    let example = exemplars[0]["exemplars"].as_array().unwrap().last().unwrap();
    assert_eq!(example["labels"]["trace_id"], TRACE_ID);
    assert_eq!(example["value"], "0.5");
    assert_eq!(example["timestamp"], 1_800_000_119.0);
}

#[tokio::test]
async fn names_labels_and_types_can_be_listed() {
    let api = Api::new();
    let summary = SummaryDataPoint {
        time_unix_nano: BEGAN * SECOND,
        count: 3,
        sum: 6.0,
        quantile_values: vec![summary_data_point::ValueAtQuantile { quantile: 0.5, value: 2.0 }],
        ..SummaryDataPoint::default()
    };
    let load = Gauge { data_points: vec![number(0.5, 0, &[])] };
    let metrics = vec![
        cumulative(vec![number(1.0, 0, &[("code", "200")])]),
        metric("load", "", Data::Gauge(load)),
        metric("wait", "s", Data::Summary(Summary { data_points: vec![summary] })),
    ];
    api.store("api", metrics).await;
    let around = [("start", "1799999990"), ("end", "1800000010")];
    let names = api.data("/api/v1/label/__name__/values", &around).await;
    let expected =
        json!(["hits_total", "load", "wait_seconds", "wait_seconds_count", "wait_seconds_sum"]);
    assert_eq!(names, expected);
    let labels = api.data("/api/v1/labels", &around).await;
    assert_eq!(labels, json!(["__name__", "code", "instance", "job", "quantile"]));
    let mut matching = around.to_vec();
    matching.push(("match[]", "{job=\"api\",code!=\"\"}"));
    let series = api.data("/api/v1/series", &matching).await;
    assert_eq!(
        series,
        json!([{"__name__": "hits_total", "code": "200", "instance": "1", "job": "api"}])
    );
    let metadata = api.data("/api/v1/metadata", &around).await;
    assert_eq!(metadata["hits_total"][0]["type"], "counter");
    assert_eq!(metadata["wait_seconds"][0]["help"], "About wait");
    assert_eq!(api.query("wait_seconds{quantile=\"0.5\"}", 0).await[0].1, "2");
    assert_eq!(api.query("wait_seconds_count", 0).await[0].1, "3");
    assert_eq!(api.data("/api/v1/labels", &[("end", "1")]).await, json!([]));
}

#[tokio::test]
async fn deltas_are_stored_as_what_they_sum_up_to() {
    let api = Api::new();
    for (value, time) in [(2.0, 15), (3.0, 30), (3.0, 30), (4.0, 45)] {
        let delta = counter(vec![number(value, time, &[])], AggregationTemporality::Delta);
        api.store("api", vec![delta]).await;
    }
    assert_eq!(api.query("hits_total", 45).await[0].1, "9");
    let own = api.metrics.encode().unwrap();
    let counted = "points_refused_total{exporter=\"spanline_store\",reason=\"out_of_order\"} 1";
    assert!(own.contains(counted), "{own}");
}

#[tokio::test]
async fn a_form_is_answered_like_a_query_and_a_number_like_a_number() {
    let api = Api::new();
    let request = Request::post("/api/v1/query")
        .header(header::HOST, "127.0.0.1:9880")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let body = form(&[("query", "1+1"), ("time", "5")]);
    let (status, answer) = api.ask(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["data"], json!({"resultType": "scalar", "result": [5.0, "2"]}));
    let elsewhere = Request::post("/loki/api/v1/labels").header(header::HOST, "127.0.0.1:9880");
    let (status, _) = api.ask(elsewhere.body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_is_not_supported_is_refused_with_what_is() {
    let api = Api::new();
    let range = [("start", "0"), ("end", "100000"), ("step", "1"), ("query", "up")];
    for (path, parameters, told) in [
        ("/api/v1/query", &[("query", "topk(5, up)")][..], "the function topk"),
        ("/api/v1/query", &[], "query is missing"),
        ("/api/v1/query", &[("query", "up"), ("time", "soon")], "is not a time"),
        ("/api/v1/query_range", &range, "11000 steps"),
        ("/api/v1/series", &[("match[]", "{}")], "needs a matcher"),
    ] {
        let (status, answer) = api.get(path, parameters).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["errorType"], "bad_data");
        assert!(answer["error"].as_str().unwrap().contains(told), "{answer}");
    }
}

#[tokio::test]
async fn a_slice_of_the_second_version_is_still_shown() {
    let folder = tempfile::tempdir().unwrap();
    let second = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/store/slice-v2.db");
    std::fs::copy(second, folder.path().join("slice-0000000001.db")).unwrap();
    let metrics = Arc::new(SelfMetrics::new());
    let api = Api { store: open(folder.path(), &metrics), metrics, _folder: folder };
    let hits = api.query("hits_total", 0).await;
    assert_eq!((hits[0].0["shop"].as_str(), hits[0].1.as_str()), (Some("berlin"), "5"));
    let lines = api.store.lines(spanline_agent::store::LineQuery::default()).await.unwrap();
    assert_eq!(lines[0].body, "a line of the second version");
    let trace = api.store.trace(lines[0].trace_id.unwrap()).await.unwrap().unwrap();
    assert_eq!(trace.spans.resource_spans[0].scope_spans[0].spans[0].name, "GET /something");
}

#[tokio::test]
async fn metrics_are_kept_over_a_restart_and_beside_a_slice_of_the_first_version() {
    let folder = tempfile::tempdir().unwrap();
    let oldest = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/store/slice-v1.db");
    std::fs::copy(oldest, folder.path().join("slice-0000000001.db")).unwrap();
    let metrics = Arc::new(SelfMetrics::new());
    let api = Api {
        store: open(folder.path(), &metrics),
        metrics: Arc::clone(&metrics),
        _folder: folder,
    };
    api.store("api", vec![cumulative(vec![number(5.0, 0, &[])])]).await;
    api.store.close().await;
    let Api { store, _folder, .. } = api;
    drop(store);
    let api = Api { store: open(_folder.path(), &metrics), metrics, _folder };
    assert_eq!(api.query("hits_total", 0).await[0].1, "5");
    let lines = api.store.lines(spanline_agent::store::LineQuery::default()).await.unwrap();
    assert_eq!(lines[0].body, "a line of the first version");
}

#[tokio::test]
async fn the_page_draws_requests_errors_and_durations_and_leads_to_traces() {
    let api = Api::new();
    let (status, page) = api.get("/graphs", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.as_str().unwrap().contains("No requests in this time"), "{page}");

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for n in 0..=8 {
        api.store("<b>api</b>", vec![durations_at(n * 10, now - 120 + n * INTERVAL)]).await;
    }
    let (_, page) = api.get("/graphs", &[("range", "15m")]).await;
    let page = page.as_str().unwrap();
    let dot = format!("<a href=\"/trace/{TRACE_ID}\"><circle class=\"");
    let colour = page.split(&dot).nth(1).unwrap().split('"').next().unwrap();
    for part in [
        "<h2 id=\"chart-1\">Requests</h2>",
        "<h2 id=\"chart-2\">Errors (5xx)</h2>",
        "p95: 910 ms",
        "p95 and median are estimates",
        &format!("<path class=\"{colour} w0 faint\" d=\"M"),
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    // 1.33/s, but that a second that passes meanwhile is part of what the rate is taken over.
    let rate =
        page.split("&#60;b&#62;api&#60;/b&#62;: ").nth(1).unwrap().split("/s").next().unwrap();
    assert!((1.2..=1.34).contains(&rate.parse::<f64>().unwrap()), "{rate}");
    assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains("style="));
}

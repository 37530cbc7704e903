//! What is pushed by OTLP is what a scraper reads on the Prometheus exporter's port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use spanline_agent::agent::Agent;
use spanline_agent::config::Config;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";

/// A request histogram with an example, and a counter whose label tries to break out of its line.
const PUSHED: &str = r#"{"resourceMetrics":[{
  "resource":{"attributes":[
    {"key":"service.name","value":{"stringValue":"api-node"}},
    {"key":"service.instance.id","value":{"stringValue":"node-1"}}]},
  "scopeMetrics":[{"metrics":[
    {"name":"http.server.request.duration","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[{
      "startTimeUnixNano":"1000000000","timeUnixNano":"2000000000","count":"3","sum":0.75,
      "bucketCounts":["2","1","0"],"explicitBounds":[0.25,1],
      "attributes":[{"key":"http.route","value":{"stringValue":"/something"}}],
      "exemplars":[{"timeUnixNano":"1900000000","asDouble":0.5,
        "traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"00f067aa0ba902b7"}]}]}},
    {"name":"hits","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{
      "startTimeUnixNano":"1000000000","timeUnixNano":"2000000000","asInt":"5",
      "attributes":[{"key":"from","value":{"stringValue":"\"} 1\nfaked 1\\"}}]}]}}]}]}]}"#;

const CONFIG: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
exporters:
  spanline_store: {directory: '${env:STATE}', max_bytes: 16MiB}
  prometheus: {endpoint: '127.0.0.1:0', enable_open_metrics: true}
service:
  telemetry: {metrics: {address: '127.0.0.1:0'}}
  pipelines: {metrics: {receivers: [otlp], exporters: [spanline_store, prometheus]}}
";

struct Running {
    otlp: SocketAddr,
    scraped: SocketAddr,
    own: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(state_dir: &Path) -> Self {
        let vars = HashMap::from([("STATE", state_dir.to_str().unwrap())]);
        let config = Config::from_yaml(CONFIG, "test", &vars).unwrap();
        let agent = Agent::build(&config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let [otlp, scraped, own] =
            ["receivers::otlp::http", "exporters::prometheus", "service::telemetry::metrics"]
                .map(|what| agent.address(what).unwrap());
        let task = tokio::spawn(agent.run(async { _ = stopped.await }));
        Self { otlp, scraped, own, stop, task }
    }

    async fn push(&self) {
        let request = Request::post("/v1/metrics").header("content-type", "application/json");
        let (status, _, body) = ask(self.otlp, request.body(PUSHED.into()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    }

    /// The text that a scraper gets, once it has the sample.
    async fn scrape_until(&self, accept: &str, sample: &str) -> String {
        let waiting = async {
            loop {
                let request = Request::get("/metrics").header("accept", accept);
                let (status, _, body) =
                    ask(self.scraped, request.body(Full::default()).unwrap()).await;
                assert_eq!(status, StatusCode::OK);
                let text = String::from_utf8(body.to_vec()).unwrap();
                if text.contains(sample) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("the sample is served")
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops in time").unwrap();
    }
}

async fn ask(
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> (StatusCode, http::HeaderMap, Bytes) {
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn a_scraper_reads_what_was_pushed_with_its_example() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(state.path()).await;
    agent.push().await;
    let text = agent.scrape_until(OPENMETRICS, "hits_total").await;
    for line in [
        "# TYPE http_server_request_duration_seconds histogram",
        "http_server_request_duration_seconds_bucket{http_route=\"/something\",instance=\"node-1\",\
         job=\"api-node\",le=\"1.0\"} 3 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",\
         span_id=\"00f067aa0ba902b7\"} 0.5 1.900",
        "http_server_request_duration_seconds_sum{http_route=\"/something\",instance=\"node-1\",\
         job=\"api-node\"} 0.75",
        "hits_total{from=\"\\\"} 1\\nfaked 1\\\\\",instance=\"node-1\",job=\"api-node\"} 5",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\nis not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let plain = agent.scrape_until("", "hits_total").await;
    assert!(!plain.contains("# {") && !plain.contains("EOF"), "{plain}");
    agent.stop().await;
}

#[tokio::test]
async fn a_scraper_that_asks_for_gzip_gets_it() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(state.path()).await;
    agent.push().await;
    agent.scrape_until("", "hits_total").await;
    let request = Request::get("/metrics").header("accept-encoding", "gzip");
    let (_, headers, body) = ask(agent.scraped, request.body(Full::default()).unwrap()).await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("hits_total{"), "{text}");
    agent.stop().await;
}

#[tokio::test]
async fn what_was_taken_and_what_was_not_is_counted() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(state.path()).await;
    for _ in 0..2 {
        agent.push().await;
    }
    agent.scrape_until("", "hits_total").await;
    let counted = async {
        loop {
            let request = Request::get("/metrics").body(Full::default()).unwrap();
            let (_, _, body) = ask(agent.own, request).await;
            let text = String::from_utf8(body.to_vec()).unwrap();
            let has = |line: &str| text.contains(line);
            // The second push says again what the first said.
            if has("spanline_agent_received_items_total{signal=\"metrics\",transport=\"http\"} 4")
                && has(
                    "spanline_agent_points_refused_total{exporter=\"prometheus\",reason=\"out_of_order\"} 2",
                )
                && has("spanline_agent_prometheus_series 2")
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, counted).await.expect("it is counted");
    agent.stop().await;
}

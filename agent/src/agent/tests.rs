use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::store;

/// A stop may take this long; the rest of a test is quick.
const STOP_LIMIT: Duration = Duration::from_secs(5);

fn config(state_dir: &std::path::Path) -> Config {
    with_grpc(state_dir, "127.0.0.1:0".to_owned())
}

fn with_grpc(state_dir: &std::path::Path, address: String) -> Config {
    let yaml = "
receivers: {otlp: {protocols: {grpc: {endpoint: '${env:GRPC}'}, http: {endpoint: '127.0.0.1:0'}}}}
exporters: {spanline_store: {directory: '${env:STATE}/store', max_bytes: 16MiB}}
extensions:
  file_storage: {directory: '${env:STATE}/checkpoints'}
  health_check: {endpoint: '127.0.0.1:0'}
service:
  extensions: [file_storage, health_check]
  telemetry: {metrics: {address: '127.0.0.1:0'}}
  pipelines:
    traces: {receivers: [otlp], exporters: [spanline_store]}
    logs: {receivers: [otlp], exporters: [spanline_store]}
";
    let state = state_dir.to_str().unwrap();
    let vars = HashMap::from([("STATE", state), ("GRPC", address.as_str())]);
    Config::from_yaml(yaml, "test", &vars).unwrap()
}

/// An agent in which `exporter` stands for the store.
async fn with_exporter(config: &Config, exporter: impl Exporter) -> Agent {
    let mut exporter = Some(Box::new(exporter) as Box<dyn Exporter>);
    Builder::new(config).build(&mut |_, _| Ok(exporter.take().unwrap())).await.unwrap()
}

/// An agent at work.
struct Running {
    otlp_http: SocketAddr,
    health: SocketAddr,
    self_metrics: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(agent: Agent) -> Self {
        let (stop, stopped) = oneshot::channel();
        let [otlp_http, health, self_metrics] =
            ["receivers::otlp::http", "extensions::health_check", "service::telemetry::metrics"]
                .map(|what| agent.address(what).unwrap());
        let task = tokio::spawn(agent.run(async { _ = stopped.await }));
        let running = Self { otlp_http, health, self_metrics, stop, task };
        let ready = async {
            while get(running.health, "/readyz").await.0 != StatusCode::OK {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(STOP_LIMIT, ready).await.expect("ready");
        running
    }

    /// Stops it, within the time that a stop may take.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(STOP_LIMIT, self.task).await.expect("stopped in time").unwrap();
    }
}

async fn get(address: SocketAddr, path: &str) -> (StatusCode, String) {
    ask(address, http::Request::get(path).body(Full::default()).unwrap()).await
}

async fn post_line(address: SocketAddr, line: usize) -> StatusCode {
    let body = format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[
           {{"timeUnixNano":"1","body":{{"stringValue":"line {line}"}}}}]}}]}}]}}"#
    );
    let request = http::Request::post("/v1/logs").header(CONTENT_TYPE, "application/json");
    ask(address, request.body(Full::from(body)).unwrap()).await.0
}

async fn ask(
    address: SocketAddr,
    mut request: http::Request<Full<bytes::Bytes>>,
) -> (StatusCode, String) {
    request.headers_mut().insert("host", address.to_string().parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = client.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, String::from_utf8(body.to_vec()).unwrap())
}

/// Counts what it takes; the first attempts fail, as if the back end were still starting.
struct SlowStart(Arc<AtomicUsize>, AtomicUsize);

impl Exporter for SlowStart {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async move {
            if self.1.fetch_add(1, Ordering::Relaxed) < 5 {
                return Err(ExportError::Unreachable("still starting".to_owned()));
            }
            self.0.fetch_add(batch.items(), Ordering::Relaxed);
            Ok(Answer::default())
        })
    }
}

/// Never answers.
struct Hanging;

impl Exporter for Hanging {
    fn export(&self, _: Arc<Batch>) -> Exporting<'_> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn whatever_was_accepted_is_delivered_before_a_stop() {
    let (state, taken) = (tempfile::tempdir().unwrap(), Arc::new(AtomicUsize::new(0)));
    let exporter = SlowStart(Arc::clone(&taken), AtomicUsize::new(0));
    let agent = with_exporter(&config(state.path()), exporter).await;
    let agent = Running::start(agent).await;
    for line in 0..50 {
        assert_eq!(post_line(agent.otlp_http, line).await, StatusCode::OK);
    }
    agent.stop().await;
    assert_eq!(taken.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn an_exporter_that_hangs_and_idle_connections_do_not_hold_up_a_stop() {
    let state = tempfile::tempdir().unwrap();
    let agent = with_exporter(&config(state.path()), Hanging).await;
    let metrics = agent.metrics();
    let agent = Running::start(agent).await;
    let _idle = TcpStream::connect(agent.otlp_http).await.unwrap();
    assert_eq!(post_line(agent.otlp_http, 0).await, StatusCode::OK);
    agent.stop().await;
    let text = metrics.encode().unwrap();
    let lost = "spanline_agent_dropped_items_total{signal=\"logs\",reason=\"shutdown\"} 1\n";
    assert!(text.contains(lost), "{text}");
}

#[tokio::test]
async fn an_accepted_line_is_in_the_store_after_a_stop() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(Agent::build(&config(state.path())).await.unwrap()).await;
    assert_eq!(post_line(agent.otlp_http, 7).await, StatusCode::OK);
    agent.stop().await;
    let store = store::Config::new(state.path().join("store"));
    let store = Store::open(store, Arc::new(SelfMetrics::new())).unwrap();
    let lines = store.lines(store::LineQuery::default()).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.body.as_str()).collect::<Vec<_>>(), ["line 7"]);
}

#[tokio::test]
async fn probes_and_metrics_are_answered() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(Agent::build(&config(state.path())).await.unwrap()).await;
    for path in ["/", "/livez", "/readyz"] {
        assert_eq!(get(agent.health, path).await.0, StatusCode::OK, "{path}");
    }
    let (status, text) = get(agent.self_metrics, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("# TYPE spanline_agent_lines_read_total counter\n"), "{text}");
    let asked = http::Request::get("/metrics").header(ACCEPT, "application/openmetrics-text");
    let (_, text) = ask(agent.self_metrics, asked.body(Full::default()).unwrap()).await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    agent.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_sets_it() {
    let state = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = with_grpc(state.path(), address.clone());
    let told = Agent::build(&config).await.unwrap_err().to_string();
    for part in
        [address.as_str(), "receivers::otlp::protocols::grpc::endpoint (test:2)", "set by GRPC"]
    {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn a_pipelines_processors_change_what_its_exporters_get() {
    let vars = HashMap::<&str, &str>::new();
    let yaml = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
processors:
  resource/1: {attributes: [{key: order, action: upsert, value: first}]}
  resource/2: {attributes: [{key: order, action: upsert, value: second}]}
exporters: {debug: {}}
extensions: {health_check: {endpoint: '127.0.0.1:0'}}
service:
  extensions: [health_check]
  telemetry: {metrics: {address: '127.0.0.1:0'}}
  pipelines: {logs: {receivers: [otlp], processors: [resource/2, resource/1], exporters: [debug]}}
";
    let config = Config::from_yaml(yaml, "test", &vars).unwrap();
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let agent = Running::start(with_exporter(&config, Keeping(Arc::clone(&kept))).await).await;
    assert_eq!(post_line(agent.otlp_http, 1).await, StatusCode::OK);
    agent.stop().await;
    let kept = kept.lock().unwrap();
    let Batch::Logs(logs) = &*kept[0] else { panic!("{kept:?}") };
    assert_eq!(logs[0].resource.get("order"), Some("first"));
}

#[tokio::test]
async fn an_agent_sends_to_another_what_it_takes_and_waits_for_it_to_be_there() {
    const YAML: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}, grpc: {endpoint: '127.0.0.1:${env:PORT}'}}}}
exporters: {otlp: {endpoint: '127.0.0.1:${env:TO}', tls: {insecure: true}, headers: {x-tenant: shop}}, debug: {}}
processors: {memory_limiter: {check_interval: 1s, limit_mib: 65536}, batch: {timeout: 10ms}}
extensions: {health_check: {endpoint: '127.0.0.1:0'}}
service:
  extensions: [health_check]
  telemetry: {metrics: {address: '127.0.0.1:0'}}
  pipelines: {logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: ['${env:BY}']}}
";
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let config = |vars: [(&'static str, &str); 3]| {
        Config::from_yaml(YAML, "test", &HashMap::from(vars)).unwrap()
    };
    let first = config([("PORT", "0"), ("TO", &port), ("BY", "otlp")]);
    let first = Running::start(Agent::build(&first).await.unwrap()).await;
    assert_eq!(post_line(first.otlp_http, 1).await, StatusCode::OK);

    let second = config([("PORT", &port), ("TO", "1"), ("BY", "debug")]);
    let kept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let second = Running::start(with_exporter(&second, Keeping(Arc::clone(&kept))).await).await;
    let arrived = async {
        while kept.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived).await.expect("the line arrives");
    assert_eq!(post_line(first.otlp_http, 2).await, StatusCode::OK);
    first.stop().await;
    second.stop().await;
    let kept = kept.lock().unwrap();
    let bodies: Vec<_> = kept
        .iter()
        .flat_map(|batch| match &**batch {
            Batch::Logs(logs) => logs.iter().flat_map(|logs| &logs.records).collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .map(|record| format!("{:?}", record.body))
        .collect();
    assert_eq!(bodies, ["Text(\"line 1\")", "Text(\"line 2\")"]);
}

/// Remembers what it takes.
struct Keeping(Arc<std::sync::Mutex<Vec<Arc<Batch>>>>);

impl Exporter for Keeping {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        self.0.lock().unwrap().push(batch);
        Box::pin(async { Ok(Answer::default()) })
    }
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_not_received() {
    let state = tempfile::tempdir().unwrap();
    let agent = Running::start(Agent::build(&config(state.path())).await.unwrap()).await;
    let request = http::Request::post("/v1/metrics").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::from("{}")).unwrap();
    assert_eq!(ask(agent.otlp_http, request).await.0, StatusCode::NOT_FOUND);
    agent.stop().await;
}

#[tokio::test]
async fn a_second_agent_on_the_same_state_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let _first = Agent::build(&config(state.path())).await.unwrap();
    let told = Agent::build(&config(state.path())).await.unwrap_err().to_string();
    assert!(told.contains("another agent") && told.contains("--state"), "{told}");
}

fn with_queue(queue: &str) -> Config {
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters: {{otlphttp: {{endpoint: 'http://127.0.0.1:1', sending_queue: {{{queue}}}}}}}
extensions: {{health_check: {{endpoint: '127.0.0.1:0'}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{address: '127.0.0.1:0'}}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlphttp]}}}}
"
    );
    Config::from_yaml(&yaml, "test", &HashMap::<&str, &str>::new()).unwrap()
}

#[tokio::test]
async fn a_queue_holds_what_its_size_says_and_then_senders_are_told_to_come_back() {
    for (queue, fit) in [
        ("queue_size: 3", 3),
        ("queue_size: 3, sizer: items", 3),
        ("queue_size: 600, sizer: bytes", 1),
    ] {
        let agent = with_exporter(&with_queue(queue), Hanging).await;
        let agent = Running::start(agent).await;
        for line in 0..fit {
            assert_eq!(post_line(agent.otlp_http, line).await, StatusCode::OK, "{queue}: {line}");
        }
        let refused = post_line(agent.otlp_http, fit).await;
        assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS, "{queue}");
        agent.stop().await;
    }
}

/// Holds what it gets until it may go on, and remembers how much that was at most.
#[derive(Clone, Default)]
struct Held(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<tokio::sync::Notify>);

impl Exporter for Held {
    fn export(&self, _: Arc<Batch>) -> Exporting<'_> {
        let Self(now, most, go_on) = self.clone();
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            go_on.notified().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(Answer::default())
        })
    }
}

#[tokio::test]
async fn as_many_deliveries_are_under_way_as_there_are_consumers() {
    let held = Held::default();
    let agent = with_exporter(&with_queue("num_consumers: 3"), held.clone()).await;
    let metrics = agent.metrics();
    let agent = Running::start(agent).await;
    for line in 0..10 {
        assert_eq!(post_line(agent.otlp_http, line).await, StatusCode::OK);
    }
    let all_delivered = "exported_items_total{signal=\"logs\",exporter=\"otlphttp\"} 10\n";
    let delivered = async {
        while !metrics.encode().unwrap().contains(all_delivered) {
            // Only a full set goes on, but for the last one of ten.
            let delivered = metrics.encode().unwrap();
            let now = held.0.load(Ordering::SeqCst);
            if now == 3 || delivered.contains("exporter=\"otlphttp\"} 9\n") {
                held.2.notify_waiters();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(STOP_LIMIT, delivered).await.expect("all are delivered");
    assert_eq!(held.1.load(Ordering::SeqCst), 3);
    agent.stop().await;
}

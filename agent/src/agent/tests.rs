use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// A stop may take this long; the rest of a test is quick.
const STOP_LIMIT: Duration = Duration::from_secs(5);

fn config(state_dir: &std::path::Path) -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        otlp_grpc: any,
        otlp_http: any,
        health: any,
        self_metrics: any,
        prometheus: any,
        web: any,
        pods_dir: None,
        state_dir: state_dir.to_owned(),
        store_max_bytes: 16 * 1024 * 1024,
        cluster: None,
    }
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
        let running = (agent.otlp_http_addr(), agent.health_addr(), agent.metrics_addr());
        let task = tokio::spawn(agent.run(async { _ = stopped.await }));
        let (otlp_http, health, self_metrics) = running;
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

fn only(exporter: impl Exporter) -> Stages {
    let signals = Signals { logs: true, traces: true, metrics: false };
    let output = Output { name: "test", exporter: Box::new(exporter), signals };
    Stages { outputs: vec![output], web: Router::new(), prometheus: Router::new(), store: None }
}

/// Counts what it takes; the first attempts fail, as if the back end were still starting.
struct SlowStart(Arc<AtomicUsize>, AtomicUsize);

impl Exporter for SlowStart {
    fn export(
        &self,
        batch: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            if self.1.fetch_add(1, Ordering::Relaxed) < 5 {
                return Err(ExportError::Unreachable("still starting".to_owned()));
            }
            self.0.fetch_add(batch.items(), Ordering::Relaxed);
            Ok(())
        })
    }
}

/// Never answers.
struct Hanging;

impl Exporter for Hanging {
    fn export(
        &self,
        _: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn whatever_was_accepted_is_delivered_before_a_stop() {
    let (state, taken) = (tempfile::tempdir().unwrap(), Arc::new(AtomicUsize::new(0)));
    let exporter = SlowStart(Arc::clone(&taken), AtomicUsize::new(0));
    let agent = Agent::with_stages(&config(state.path()), |_, _| Ok(only(exporter))).await.unwrap();
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
    let agent = Agent::with_stages(&config(state.path()), |_, _| Ok(only(Hanging))).await.unwrap();
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
    let store = store::Config::new(config(state.path()).store_dir());
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
    assert!(text.ends_with("# EOF\n"), "{text}");
    agent.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_variable_that_moves_it() {
    let state = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = Config { otlp_grpc: address, ..config(state.path()) };
    let told = Agent::build(&config).await.unwrap_err().to_string();
    assert!(told.contains(&address.to_string()), "{told}");
    assert!(told.contains("SPANLINE_OTLP_GRPC_PORT"), "{told}");
}

#[tokio::test]
async fn a_second_agent_on_the_same_state_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let _first = Agent::build(&config(state.path())).await.unwrap();
    let told = Agent::build(&config(state.path())).await.unwrap_err().to_string();
    assert!(told.contains("another agent") && told.contains("--state"), "{told}");
}

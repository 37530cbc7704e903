//! What the exporters `loki` and `otlphttp` push arrives, over whatever the way to the back end is secured with, and
//! however long the back end was away or did not let us in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers are part of the test"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use http::HeaderMap;
use spanline_agent::agent::Agent;
use spanline_agent::config::Config;
use spanline_agent::self_metrics::SelfMetrics;
use tempfile::TempDir;
use tokio::task::JoinHandle;

#[path = "harness/authority.rs"]
mod authority;
#[path = "harness/backend.rs"]
mod backend;
#[path = "harness/tls_server.rs"]
mod tls_server;
use authority::{Authority, put};
use backend::{Backend, Taken};
use tls_server::tls;

/// A retry waits for 5 s at most.
const DEADLINE: Duration = Duration::from_secs(30);

/// A folder with a pod's log in it, and what an agent keeps.
struct Node(TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(node.0.path().join(LOG).parent().unwrap()).unwrap();
        node
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes lines with these numbers.
    fn log(&self, numbers: std::ops::Range<u32>) {
        let time = jiff::Timestamp::now();
        let lines = numbers.map(|n| format!("{time} stdout F line-{n:05}.\n")).collect::<String>();
        use std::io::Write as _;
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.path().join(LOG)).unwrap();
        file.write_all(lines.as_bytes()).unwrap();
    }

    /// An agent that sends the log by `exporter`; it ends when it is aborted, as by `kill -9`.
    async fn agent(&self, exporter: &str, extensions: &str) -> (JoinHandle<()>, Arc<SelfMetrics>) {
        let (kind, _) = exporter.split_once(':').unwrap();
        let dir = self.path().display();
        let ids: Vec<_> =
            extensions.lines().filter_map(|line| line.trim().split_once(": {")).collect();
        let ids: String = ids.iter().map(|(id, _)| format!(", {id}")).collect();
        let yaml = format!(
            "receivers:
  filelog:
    include: ['{dir}/pods/*/*/*.log']
    start_at: beginning
    include_file_path: true
    poll_interval: 10ms
    storage: file_storage
    operators: [{{type: container}}]
exporters:
  {exporter}
extensions:
  file_storage: {{directory: '{dir}/state'}}
{extensions}
service:
  extensions: [file_storage{ids}]
  pipelines: {{logs: {{receivers: [filelog], exporters: [{kind}]}}}}
"
        );
        let config = Config::from_yaml(&yaml, "test", &HashMap::new());
        let config = config.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let agent = Agent::build(&config).await.unwrap();
        let metrics = agent.metrics();
        (tokio::spawn(agent.run(std::future::pending())), metrics)
    }
}

const LOG: &str = "pods/shop_web_0a1b/app/0.log";

/// The numbers of the lines that were taken, each as often as it came.
fn numbers(taken: &[Taken]) -> Vec<u32> {
    let mut numbers = Vec::new();
    for Taken { path, body, .. } in taken {
        let bytes = match path.as_str() {
            "/loki/api/v1/push" => snap::raw::Decoder::new().decompress_vec(body).unwrap(),
            _ => body.to_vec(),
        };
        let text = String::from_utf8_lossy(&bytes);
        let number = |part: &str| part[..5].parse::<u32>().unwrap();
        numbers.extend(text.split("line-").skip(1).map(number));
    }
    numbers
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "not in time: {what}");
}

/// Both exporters, with these keys.
fn exporters(address: std::net::SocketAddr, scheme: &str, keys: &str) -> [String; 2] {
    [
        format!("loki: {{endpoint: '{scheme}://{address}/loki/api/v1/push', {keys}}}"),
        format!("otlphttp: {{endpoint: '{scheme}://{address}', compression: none, {keys}}}"),
    ]
}

#[tokio::test]
async fn an_outage_and_a_kill_within_it_lose_no_line_that_is_on_disk() {
    for at in 0..2 {
        let status = Arc::new(AtomicU16::new(503));
        let answered = Arc::clone(&status);
        let backend = Backend::start(None, move |_| answered.load(Ordering::Relaxed)).await;
        let exporter = &exporters(backend.address, "http", "")[at];
        let node = Node::new();
        node.log(0..100);
        let (agent, metrics) = node.agent(exporter, "").await;
        let failed = || metrics.encode().unwrap().contains("export_failures_total{");
        eventually("the back end is asked", failed).await;
        agent.abort();
        let _ = agent.await;

        node.log(100..200);
        let (agent, _) = node.agent(exporter, "").await;
        status.store(200, Ordering::Relaxed);
        let all = (0..200).collect::<BTreeSet<_>>();
        let arrived = || numbers(&backend.taken()).into_iter().collect::<BTreeSet<_>>() == all;
        eventually("every line arrives", arrived).await;
        agent.abort();
        let _ = agent.await;
        assert_eq!(numbers(&backend.taken()).len(), 200, "nothing was taken before the kill");
    }
}

#[tokio::test]
async fn what_the_back_end_refuses_for_good_is_dropped_once_and_the_log_goes_on() {
    for at in 0..2 {
        let status = Arc::new(AtomicU16::new(400));
        let answered = Arc::clone(&status);
        let backend = Backend::start(None, move |_| answered.load(Ordering::Relaxed)).await;
        let node = Node::new();
        node.log(0..10);
        let (agent, metrics) = node.agent(&exporters(backend.address, "http", "")[at], "").await;
        let dropped = "dropped_items_total{signal=\"logs\",reason=\"refused\"} 10\n";
        eventually("ten are dropped", || metrics.encode().unwrap().contains(dropped)).await;
        status.store(200, Ordering::Relaxed);
        node.log(10..20);
        let expected: Vec<_> = (10..20).collect();
        eventually("the next arrive", || numbers(&backend.taken()) == expected).await;
        assert!(metrics.encode().unwrap().contains(dropped));
        agent.abort();
    }
}

/// What a back end wants to see, and how an agent shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    Nothing,
    Certificate,
    Bearer,
    Basic,
}

#[tokio::test]
async fn lines_arrive_over_tls_with_whatever_lets_us_in_and_none_is_lost_until_it_is_right() {
    let authority = Authority::new();
    for shown in [Shown::Nothing, Shown::Certificate, Shown::Bearer, Shown::Basic] {
        let clients = (shown == Shown::Certificate).then_some(&authority);
        let secured = tls(&authority.sign("127.0.0.1"), clients);
        let rule = move |headers: &HeaderMap| {
            let authorization = headers.get("authorization").map(|value| value.as_bytes());
            let expected: Option<&[u8]> = match shown {
                Shown::Bearer => Some(b"Bearer right"),
                Shown::Basic => Some(b"Basic bWU6cmlnaHQ="),
                Shown::Nothing | Shown::Certificate => None,
            };
            if expected == authorization { 200 } else { 401 }
        };
        let backend = Backend::start(Some(secured), rule).await;
        for at in 0..2 {
            let node = Node::new();
            let ca = put(node.path(), "ca.pem", &authority.pem);
            let mut keys = format!("tls: {{ca_file: '{}', reload_interval: 0s", ca.display());
            let (mut extension, mut secret) = (String::new(), None);
            match shown {
                Shown::Nothing => keys += "}",
                Shown::Certificate => {
                    let own = authority.sign("agent");
                    let certificate = put(node.path(), "cert.pem", &own.certificate);
                    let key = put(node.path(), "key.pem", &own.key);
                    let (certificate, key) = (certificate.display(), key.display());
                    keys += &format!(", cert_file: '{certificate}', key_file: '{key}'}}");
                }
                Shown::Bearer => {
                    let path = put(node.path(), "secret", "wrong");
                    keys += "}, auth: {authenticator: bearertokenauth}";
                    extension = format!("  bearertokenauth: {{filename: '{}'}}", path.display());
                    secret = Some(path);
                }
                Shown::Basic => {
                    let path = put(node.path(), "secret", "wrong");
                    keys += "}, auth: {authenticator: basicauth}";
                    extension = format!(
                        "  basicauth: {{client_auth: {{username: me, password_file: '{}'}}}}",
                        path.display()
                    );
                    secret = Some(path);
                }
            }
            let before = backend.taken().len();
            let exporter = &exporters(backend.address, "https", &keys)[at];
            node.log(0..10);
            let (agent, metrics) = node.agent(exporter, &extension).await;
            if secret.is_some() {
                let denied = || metrics.encode().unwrap().contains("reason=\"denied\"");
                eventually("wrong credentials are counted", denied).await;
                put(node.path(), "secret", "right");
            }
            let all: Vec<_> = (0..10).collect();
            let arrived = || numbers(&backend.taken()[before..]) == all;
            eventually(&format!("{shown:?} by {exporter}"), arrived).await;
            assert!(!metrics.encode().unwrap().contains("dropped_items_total{"));
            agent.abort();
            let _ = agent.await;
        }
    }
}

#[tokio::test]
async fn a_back_end_that_cannot_be_trusted_gets_nothing_until_its_ca_is_named() {
    let (ours, other) = (Authority::new(), Authority::new());
    let backend = Backend::start(Some(tls(&other.sign("127.0.0.1"), None)), |_| 200).await;
    for at in 0..2 {
        let node = Node::new();
        let ca = put(node.path(), "ca.pem", &ours.pem);
        let keys = format!("tls: {{ca_file: '{}', reload_interval: 0s}}", ca.display());
        node.log(0..10);
        let exporter = &exporters(backend.address, "https", &keys)[at];
        let (agent, metrics) = node.agent(exporter, "").await;
        let failed = || metrics.encode().unwrap().contains("reason=\"unreachable\"");
        eventually("the failure is counted", failed).await;
        let before = backend.taken().len();
        put(node.path(), "ca.pem", &other.pem);
        let arrived = || numbers(&backend.taken()[before..]).len() == 10;
        eventually("with the right CA they arrive", arrived).await;
        agent.abort();
        let _ = agent.await;
    }
}

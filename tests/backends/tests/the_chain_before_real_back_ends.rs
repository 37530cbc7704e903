//! The demo's two services, unchanged, before the agent or the real Collector, on the configuration of 2023: Tempo has one trace over
//! both, and Loki's lines of both lead to it.

use std::collections::BTreeMap;

use serde_json::Value;
use spanline_backends::{
    BackEnd, Entry, Kind, Loki, Relay, Tempo, configuration, free_port, program,
};
use spanline_demo::launcher::{Answer, Role};
use spanline_tests::{Chain, eventually, get};

#[tokio::test]
async fn with_the_agent_on_the_configuration_of_2023() {
    on_the_configuration_of_2023(Kind::Agent(program!())).await;
}

#[tokio::test]
async fn with_the_real_collector_in_the_agents_place() {
    on_the_configuration_of_2023(Kind::Collector).await;
}

async fn on_the_configuration_of_2023(kind: Kind<'_>) {
    let back_ends = BackEnds::start().await;
    let mut chain = Chain::prepare(program!()).unwrap_or_else(|error| panic!("{error}"));
    let pods = chain.demo().folder().join("pods");
    let ports = chain.demo().ports().clone();
    let (loki, tempo) = (back_ends.loki.url(), back_ends.tempo.otlp_grpc());
    let seed = configuration::seed(kind, &pods, loki, tempo, ports.otlp_grpc, ports.otlp_http);
    let _relay = start(kind, &[seed]).await;
    let answer = request(&mut chain).await;
    back_ends.have_one_trace(&answer.trace_id).await;
    for service in [Role::Node, Role::Python] {
        let log = chain.pod_log(service).unwrap_or_else(|error| panic!("{error}"));
        let filename = log.path.display().to_string();
        let labels = BTreeMap::from([
            ("cluster", "minikube"),
            ("container", service.name()),
            ("filename", &filename),
            ("namespace", &log.namespace),
            ("pod", &log.pod),
        ]);
        back_ends.have_line(&labels, &answer.trace_id).await;
    }
}

#[tokio::test]
async fn with_the_agent_before_a_real_collector_and_behind_it() {
    let back_ends = BackEnds::start().await;
    let agent = Kind::Agent(program!());
    for (first, second, exporter) in [
        (agent, Kind::Collector, "otlp"),
        (agent, Kind::Collector, "otlphttp"),
        (Kind::Collector, agent, "otlp"),
        (Kind::Collector, agent, "otlphttp"),
    ] {
        println!("{} before {} by {exporter}", first.name(), second.name());
        let mut chain = Chain::prepare(program!()).unwrap_or_else(|error| panic!("{error}"));
        let pods = chain.demo().folder().join("pods");
        let ports = chain.demo().ports().clone();
        let between = configuration::Between::any().unwrap_or_else(|error| panic!("{error}"));
        let (loki, tempo) = (back_ends.loki.url(), back_ends.tempo.otlp_grpc());
        let behind = between.behind(second, loki, tempo);
        let _second = start(second, &[behind]).await;
        let before = between.before(first, &pods, ports.otlp_grpc, ports.otlp_http, exporter);
        let _first = start(first, &[before]).await;
        let answer = request(&mut chain).await;
        back_ends.have_one_trace(&answer.trace_id).await;
        for service in [Role::Node, Role::Python] {
            let log = chain.pod_log(service).unwrap_or_else(|error| panic!("{error}"));
            let labels = BTreeMap::from([
                ("k8s_container_name", service.name()),
                ("k8s_namespace_name", &log.namespace),
                ("k8s_pod_name", &log.pod),
            ]);
            back_ends.have_line(&labels, &answer.trace_id).await;
        }
    }
}

#[tokio::test]
async fn a_service_that_compresses_understands_the_collectors_compressed_answer() {
    let back_ends = BackEnds::start().await;
    let between = configuration::Between::any().unwrap();
    let behind = between.behind(Kind::Collector, back_ends.loki.url(), back_ends.tempo.otlp_grpc());
    let _collector = start(Kind::Collector, &[behind]).await;
    let (folder, port, metrics_port) =
        (tempfile::tempdir().unwrap(), free_port().unwrap(), free_port().unwrap());
    let vars = vec![
        ("PORT", port.to_string()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", between.grpc_port())),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", metrics_port.to_string()),
    ];
    let (args, ready) = (vec!["api-python".to_owned()], format!("http://127.0.0.1:{port}/healthz"));
    let mut service =
        BackEnd::new("api-python", program!().to_owned(), folder.path(), args, vars, ready);
    service.start().await.unwrap();
    get(&format!("http://127.0.0.1:{port}/"), &[]).await.unwrap();
    eventually("the span is exported, by the service's own account", async || {
        let (_, text) = get(&format!("http://127.0.0.1:{metrics_port}/metrics"), &[]).await?;
        let exported = |line: &&str| {
            line.starts_with("spanline_spans_exported_total{") && line.ends_with(" 1")
        };
        if text.lines().any(|line| exported(&line)) { Ok(()) } else { Err(text) }
    })
    .await;
}

struct BackEnds {
    loki: Loki,
    tempo: Tempo,
}

impl BackEnds {
    async fn start() -> Self {
        let (loki, tempo) = tokio::join!(Loki::start(), Tempo::start());
        let (loki, tempo) = (loki.map_err(|e| e.to_string()), tempo.map_err(|e| e.to_string()));
        match (loki, tempo) {
            (Ok(loki), Ok(tempo)) => Self { loki, tempo },
            (loki, tempo) => panic!("{:?} {:?}", loki.err(), tempo.err()),
        }
    }

    async fn have_one_trace(&self, trace_id: &str) {
        eventually("Tempo has one trace over both services", async || {
            let services = self.tempo.services(trace_id).await?;
            let services: Vec<_> = services.iter().map(String::as_str).collect();
            if services == ["api-node", "api-python"] {
                Ok(())
            } else {
                Err(format!("{services:?}"))
            }
        })
        .await;
    }

    /// One with these labels, whose first id leads to the trace.
    async fn have_line(&self, labels: &BTreeMap<&str, &str>, trace_id: &str) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let query = format!("{{{}}} |= `{trace_id}`", labels.join(","));
        let entry = eventually("Loki has a line with the trace's id", async || {
            let entries = self.loki.entries("fake", &query).await?;
            entries.into_iter().next().ok_or_else(|| format!("no line for {query}"))
        })
        .await;
        let found = first_trace_id(&entry).unwrap_or_else(|| panic!("no trace_id= in {entry:?}"));
        assert_eq!(found, trace_id, "{entry:?}");
        self.have_one_trace(&found).await;
    }
}

/// What Grafana's derived field `trace_id=(\w+)` would link.
fn first_trace_id(entry: &Entry) -> Option<String> {
    // The line is JSON, and the id stands in what the service wrote.
    let line: Value = serde_json::from_str(&entry.line).ok()?;
    assert!(line["body"].is_string(), "{entry:?}");
    let after = entry.line.split("trace_id=").nth(1)?;
    Some(after.chars().take_while(char::is_ascii_alphanumeric).collect())
}

async fn start(kind: Kind<'_>, configs: &[String]) -> Relay {
    Relay::start(kind, configs).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn request(chain: &mut Chain) -> Answer {
    for role in [Role::Python, Role::Node] {
        chain.start_one(role).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let answer = chain.demo().request().await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.text, "Hello From Python App!");
    answer
}

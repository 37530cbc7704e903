//! The same metrics before a real Prometheus in three ways: scraped from the service, pushed to the agent and scraped there, pushed to
//! Prometheus itself. Names, labels and values are the same, and each way's exemplars lead to a trace that Tempo has.

use std::collections::BTreeMap;
use std::path::Path;

use spanline_backends::{BackEnd, Kind, Prometheus, Relay, Series, Tempo, free_port, program};
use spanline_tests::{eventually, get};

const REQUESTS: usize = 20;
const COUNT: &str = "http_server_request_duration_seconds_count";
/// What tells the ways apart; an OTLP receiver has no place for a label of the scraper's.
const WAYS: [&str; 3] = ["scraped", "agent", "pushed"];

#[tokio::test]
async fn the_same_families_come_with_exemplars_in_all_three() {
    let (prometheus, tempo) = tokio::join!(Prometheus::start(), Tempo::start());
    let (prometheus, tempo) = (prometheus.unwrap(), tempo.unwrap());
    let [grpc, http, served] = [(); 3].map(|()| free_port().unwrap());
    let config = format!(
        "
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: '127.0.0.1:{grpc}' }}
      http: {{ endpoint: '127.0.0.1:{http}' }}
exporters:
  otlp:
    endpoint: {}
    tls: {{ insecure: true }}
  prometheus:
    endpoint: 127.0.0.1:{served}
    enable_open_metrics: true
extensions:
  health_check: {{ endpoint: '127.0.0.1:HEALTH_PORT' }}
service:
  extensions: [health_check]
  pipelines:
    traces: {{ receivers: [otlp], exporters: [otlp] }}
    metrics: {{ receivers: [otlp], exporters: [prometheus] }}
",
        tempo.otlp_grpc()
    );
    let _agent = Relay::start(Kind::Agent(program!()), &[config]).await.unwrap();
    prometheus.scrape(&format!("127.0.0.1:{served}"), &[("way", "agent")]).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let agent = format!("http://127.0.0.1:{http}");
    // One service pushes to the agent, the other one to Prometheus; both are scraped.
    let to_prometheus = format!("{}/api/v1/otlp/v1/metrics", prometheus.url());
    let to_agent = format!("{agent}/v1/metrics");
    let mut services = Vec::new();
    for (name, metrics_endpoint) in [("to-agent", to_agent), ("to-prometheus", to_prometheus)] {
        let service = start(folder.path(), name, &agent, metrics_endpoint).await;
        let address = format!("127.0.0.1:{}", service.metrics_port);
        prometheus.scrape(&address, &[("way", "scraped"), ("job", name)]).unwrap();
        for _ in 0..REQUESTS {
            get(&format!("http://127.0.0.1:{}/", service.port), &[]).await.unwrap();
        }
        services.push(service);
    }
    for (job, ways) in [("to-agent", [WAYS[0], WAYS[1]]), ("to-prometheus", [WAYS[0], WAYS[2]])] {
        for way in ways {
            eventually(&format!("all requests are counted, {way}"), async || {
                let counted = prometheus.query(&selector(COUNT, job, way)).await?;
                match &counted[..] {
                    [one] if one.value == REQUESTS.to_string() => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
            exemplars_lead_to_traces(&prometheus, &tempo, job, way).await;
        }
        let [one, other] =
            [families(&prometheus, job, ways[0]).await, families(&prometheus, job, ways[1]).await];
        println!("{job}: {} series {} and {}", one.len(), ways[0], ways[1]);
        assert!(one.len() > 30, "{one:#?}");
        let missing = |here: &BTreeMap<String, Series>, there: &BTreeMap<String, Series>| {
            here.keys().filter(|name| !there.contains_key(*name)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(missing(&one, &other), [""; 0], "not {}", ways[1]);
        assert_eq!(missing(&other, &one), [""; 0], "not {}", ways[0]);
        // What stands still after the last request.
        let is_at_rest = |name: &str| name.starts_with("http_server_");
        for (name, series) in one.iter().filter(|(name, _)| is_at_rest(name)) {
            assert_eq!(series.value, other[name].value, "{name}, {} and {}", ways[0], ways[1]);
        }
    }
}

struct Service {
    _process: BackEnd,
    port: u16,
    metrics_port: u16,
}

async fn start(
    folder: &Path,
    name: &'static str,
    agent: &str,
    metrics_endpoint: String,
) -> Service {
    let [port, metrics_port] = [(); 2].map(|()| free_port().unwrap_or_default());
    let vars = vec![
        ("PORT", port.to_string()),
        ("OTEL_SERVICE_NAME", name.to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", agent.to_owned()),
        // It pushes by HTTP; of its routes, the one that asks nobody else is used.
        ("PYTHON_APP_URL", "http://127.0.0.1:1/".to_owned()),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", metrics_endpoint),
        ("OTEL_METRICS_EXPORTER", "prometheus,otlp".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", metrics_port.to_string()),
    ];
    let args = vec!["api-node".to_owned()];
    let ready = format!("http://127.0.0.1:{port}/healthz");
    let mut process = BackEnd::new(name, program!().to_owned(), folder, args, vars, ready);
    process.start().await.unwrap_or_else(|error| panic!("{error}"));
    Service { _process: process, port, metrics_port }
}

fn selector(name: &str, job: &str, way: &str) -> String {
    let way = if way == "pushed" { "" } else { way };
    format!("{name}{{job=\"{job}\",way=\"{way}\"}}")
}

/// Every series of the SDK's, by its name and those labels that are not where it came from.
async fn families(prometheus: &Prometheus, job: &str, way: &str) -> BTreeMap<String, Series> {
    let found =
        prometheus.query(&selector("", job, way)).await.unwrap_or_else(|error| panic!("{error}"));
    let key = |series: &Series| {
        let is_origin = |name: &str| ["instance", "job", "way"].contains(&name);
        let labels = series.labels.iter().filter(|(name, _)| !is_origin(name));
        // Prometheus writes a bound that it scrapes as 1.0 or 1e-05, and one that is pushed to it as 1 or 0.00001.
        let label = |(name, value): (&String, &String)| match value.parse::<f64>() {
            Ok(bound) if name == "le" => format!("{name}={bound}"),
            _ => format!("{name}={value}"),
        };
        labels.map(label).collect::<Vec<_>>().join(" ")
    };
    let of_the_scraper = |name: &str| name == "up" || name.starts_with("scrape_");
    found
        .into_iter()
        .filter(|series| !of_the_scraper(&series.labels["__name__"]))
        .map(|series| (key(&series), series))
        .collect()
}

async fn exemplars_lead_to_traces(prometheus: &Prometheus, tempo: &Tempo, job: &str, way: &str) {
    let query = selector("http_server_request_duration_seconds_bucket", job, way);
    eventually(&format!("an exemplar, {way}, leads to a trace"), async || {
        let traces = prometheus.exemplars(&query).await?;
        let trace_id = traces.first().ok_or("no exemplar")?;
        match tempo.services(trace_id).await?.contains(job) {
            true => Ok(()),
            false => Err(format!("nothing of {job} in {trace_id}")),
        }
    })
    .await;
}

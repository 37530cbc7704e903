//! The agent before the real back ends over TLS, with certificates made here: with a wrong file nothing arrives, and the agent names the
//! fault; once the file is put right, all of it arrives.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use authority::{Authority, Signed, put};
use reqwest::Client;
use serde_json::{Value, json};
use spanline_backends::{Asker, Kind, Prometheus, Relay, free_port, program};
use spanline_tests::eventually;
use tempfile::TempDir;

#[path = "../../../agent/tests/harness/authority.rs"]
mod authority;

const PASSWORD: &str = "abc";
/// What the agent says of a server whose CA is not the one it was told of.
const IS_NOT_TRUSTED: &str = "signed by no CA of";
/// What it says of a client that hangs up on it.
const TRUSTS_US_NOT: &str = "does not take our certificate";

#[tokio::test]
async fn metrics_reach_a_prometheus_that_wants_a_password_and_are_scraped_by_it_with_one() {
    let files = Files::new();
    let server = files.signed("prometheus", &files.ours.sign("127.0.0.1"));
    // The cheapest hash: what it costs is not tested.
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let web = format!("tls_server_config: {{{server}}}\nbasic_auth_users: {{me: '{hash}'}}\n");
    let served = free_port().unwrap();
    let scrapers_ca = files.put("scrapers-ca.pem", &files.other.pem);
    let jobs = format!(
        "scrape_configs:
  - job_name: secured
    honor_labels: true
    scheme: https
    tls_config: {{ca_file: '{scrapers_ca}'}}
    basic_auth: {{username: scraper, password: {PASSWORD}}}
    static_configs: [{{targets: ['127.0.0.1:{served}'], labels: {{way: scraped}}}}]
"
    );
    let login = format!("me:{PASSWORD}");
    let asker = Asker { ca: &files.ours.pem, own: None, login: Some(&login) };
    let prometheus = Prometheus::start_secured(&web, &jobs, asker).await.unwrap();

    let trusted = files.put("trusted.pem", &files.other.pem);
    let own = files.signed("agent", &files.ours.sign("127.0.0.1"));
    let exporters = format!(
        "
  otlphttp:
    endpoint: https://{}/api/v1/otlp
    tls: {{ca_file: '{trusted}', reload_interval: 10ms}}
    auth: {{authenticator: basicauth/shown}}
    retry_on_failure: {{max_interval: 100ms}}
  prometheus:
    endpoint: 127.0.0.1:{served}
    tls: {{{own}}}
    auth: {{authenticator: basicauth/known}}
extensions:
  basicauth/shown: {{client_auth: {{username: me, password: {PASSWORD}}}}}
  basicauth/known: {{htpasswd: {{inline: 'scraper:{PASSWORD}'}}}}
",
        prometheus.address()
    );
    let both = "metrics: {receivers: [otlp], exporters: [otlphttp, prometheus]}";
    let agent =
        Agent::start(&exporters, "health_check, basicauth/shown, basicauth/known", both).await;
    agent.push("metrics", &metric("secured")).await;
    agent.says(&[IS_NOT_TRUSTED, "exporters::otlphttp::tls::ca_file"]).await;
    agent.says(&[TRUSTS_US_NOT, "exporters::prometheus"]).await;
    assert_eq!(prometheus.query("secured").await, Ok(Vec::new()));

    for (way, file) in [("", "trusted.pem"), ("scraped", "scrapers-ca.pem")] {
        files.put(file, &files.ours.pem);
        eventually(&format!("Prometheus has the value, {way:?}"), async || {
            let series = prometheus.query(&format!("secured{{way=\"{way}\"}}")).await?;
            match &series[..] {
                [one] if one.value == "42" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

/// The CA that all should know, and another one.
struct Files {
    ours: Authority,
    other: Authority,
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { ours: Authority::new(), other: Authority::new(), folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&self, name: &str, content: &str) -> String {
        put(self.path(), name, content).display().to_string()
    }

    /// A certificate and its key, as settings.
    fn signed(&self, name: &str, signed: &Signed) -> String {
        // The key first: a certificate with another's key is a wrong file, too.
        let key = self.put(&format!("{name}.key"), &signed.key);
        let certificate = self.put(&format!("{name}.pem"), &signed.certificate);
        format!("cert_file: '{certificate}', key_file: '{key}'")
    }
}

/// An agent that takes OTLP over HTTP without TLS.
struct Agent {
    relay: Relay,
    port: u16,
}

impl Agent {
    /// One with these exporters, and what else stands behind them.
    async fn start(exporters: &str, extensions: &str, pipelines: &str) -> Self {
        let port = free_port().unwrap();
        let taken = format!(
            "receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
extensions: {{health_check: {{endpoint: '127.0.0.1:HEALTH_PORT'}}}}
service:
  extensions: [{extensions}]
  pipelines: {{{pipelines}}}
"
        );
        let configs = [taken, format!("exporters:{exporters}")];
        let relay = Relay::start(Kind::Agent(program!()), &configs).await.unwrap();
        Self { relay, port }
    }

    async fn push(&self, signal: &str, body: &Value) {
        push(self.port, signal, body).await;
    }

    async fn says(&self, why: &[&str]) {
        eventually(&format!("the agent says {why:?}"), async || {
            let written = self.relay.written();
            let is_said = written.lines().any(|line| why.iter().all(|part| line.contains(part)));
            if is_said { Ok(()) } else { Err(written) }
        })
        .await;
    }
}

async fn push(port: u16, signal: &str, body: &Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(format!("http://127.0.0.1:{port}/v1/{signal}"))
        .header("content-type", "application/json")
        .body(body.to_string());
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// A gauge of 42.
fn metric(name: &str) -> Value {
    let gauge = json!({ "dataPoints": [{ "timeUnixNano": now(), "asDouble": 42.0 }] });
    let metrics = json!([{ "name": name, "gauge": gauge }]);
    let scope = json!([{ "metrics": metrics }]);
    json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": scope }] })
}

fn resource() -> Value {
    json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "service" } }] })
}

/// Nanoseconds since 1970.
fn now() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string()
}

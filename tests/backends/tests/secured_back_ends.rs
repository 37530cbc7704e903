//! The agent before the real back ends over TLS, with certificates made here: with a wrong file nothing arrives, and the agent names the
//! fault; once the file is put right, all of it arrives.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use authority::{Authority, Signed, put};
use reqwest::Client;
use serde_json::{Value, json};
use spanline_backends::{
    Asker, Kind, Loki, Prometheus, Relay, Sink, Tempo, configuration, free_port, program,
};
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
    let prometheus = secured_prometheus(&files, &jobs).await;
    let own = files.signed("agent", &files.ours.sign("127.0.0.1"));
    let exporters = format!(
        "{}
  prometheus:
    endpoint: 127.0.0.1:{served}
    tls: {{{own}}}
    auth: {{authenticator: basicauth/known}}
extensions:
  basicauth/known: {{htpasswd: {{inline: 'scraper:{PASSWORD}'}}}}
  basicauth: {{client_auth: {{username: me, password: {PASSWORD}}}}}
",
        pusher(&files, &prometheus, &files.other)
    );
    let both = "metrics: {receivers: [otlp], exporters: [otlphttp, prometheus]}";
    let agent = Agent::start(&exporters, "health_check, basicauth, basicauth/known", both).await;
    agent.push("metrics", &metric("secured")).await;
    agent.says(&[IS_NOT_TRUSTED, "exporters::otlphttp::tls::ca_file"]).await;
    agent.says(&[TRUSTS_US_NOT, "exporters::prometheus"]).await;
    assert_eq!(prometheus.query("secured").await, Ok(Vec::new()));

    for (way, file) in [("", "trusted.pem"), ("scraped", "scrapers-ca.pem")] {
        files.put(file, &files.ours.pem);
        has_the_value(&prometheus, &format!("secured{{way=\"{way}\"}}")).await;
    }
}

#[tokio::test]
async fn what_a_prometheus_refuses_for_a_wrong_password_arrives_by_the_right_one() {
    let files = Files::new();
    let prometheus = secured_prometheus(&files, "").await;
    let password = files.put("password", "wrong");
    let exporters = format!(
        "{}
extensions:
  basicauth: {{client_auth: {{username: me, password_file: '{password}'}}}}
",
        pusher(&files, &prometheus, &files.ours)
    );
    let pipeline = "metrics: {receivers: [otlp], exporters: [otlphttp]}";
    let agent = Agent::start(&exporters, "health_check, basicauth", pipeline).await;
    agent.push("metrics", &metric("secured")).await;
    agent.says(&["exporter=\"otlphttp\"", "401 Unauthorized"]).await;
    assert_eq!(prometheus.query("secured").await, Ok(Vec::new()));
    files.put("password", PASSWORD);
    has_the_value(&prometheus, "secured").await;
}

/// One that lets `me` in.
async fn secured_prometheus(files: &Files, jobs: &str) -> Prometheus {
    let server = files.signed("prometheus", &files.ours.sign("127.0.0.1"));
    // The cheapest hash: what it costs is not tested.
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let web = format!("tls_server_config: {{{server}}}\nbasic_auth_users: {{me: '{hash}'}}\n");
    let login = format!("me:{PASSWORD}");
    let asker = Asker { ca: &files.ours.pem, own: None, login: Some(&login) };
    Prometheus::start_secured(&web, jobs, asker).await.unwrap()
}

/// An exporter that pushes there, by the extension `basicauth`.
fn pusher(files: &Files, prometheus: &Prometheus, trusted: &Authority) -> String {
    let trusted = files.put("trusted.pem", &trusted.pem);
    format!(
        "
  otlphttp:
    endpoint: https://{}/api/v1/otlp
    tls: {{ca_file: '{trusted}', reload_interval: 10ms}}
    auth: {{authenticator: basicauth}}
    retry_on_failure: {{max_interval: 100ms}}",
        prometheus.address()
    )
}

async fn has_the_value(prometheus: &Prometheus, selector: &str) {
    eventually(&format!("Prometheus has {selector}"), async || {
        let series = prometheus.query(selector).await?;
        match &series[..] {
            [one] if one.value == "42" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn lines_pass_between_the_agent_and_a_real_collector_that_show_each_other_certificates() {
    for wrong in [Wrong::Ca, Wrong::Certificate] {
        let (files, sink) = (Files::new(), Sink::start().await.unwrap());
        let port = free_port().unwrap();
        let server = files.signed("collector", &files.ours.sign("127.0.0.1"));
        let ca = files.put("ca.pem", &files.ours.pem);
        let grpc = format!(
            "grpc: {{endpoint: '127.0.0.1:{port}', tls: {{{server}, client_ca_file: '{ca}'}}}}"
        );
        let onward = format!("otlp: {{endpoint: '{}', tls: {{insecure: true}}}}", sink.address());
        let _collector = relay(Kind::Collector, &grpc, &onward).await;
        let exporter = files.exporter("otlp", &format!("127.0.0.1:{port}"), wrong);
        let agent =
            Agent::start(&exporter, "health_check", "logs: {receivers: [otlp], exporters: [otlp]}")
                .await;
        agent.push("logs", &line("to the Collector")).await;
        agent.says(&wrong.is_named_by()).await;
        assert!(sink.is_empty(), "{wrong:?}");
        files.put_right();
        has_the_line(&sink, "to the Collector").await;
    }

    let (files, sink) = (Files::new(), Sink::start().await.unwrap());
    let [port, taken] = [(); 2].map(|()| free_port().unwrap());
    let server = files.signed("agent", &files.ours.sign("127.0.0.1"));
    let clients_ca = files.put("clients-ca.pem", &files.other.pem);
    let grpc = format!(
        "grpc: {{endpoint: '127.0.0.1:{port}', tls: {{{server}, client_ca_file: '{clients_ca}', reload_interval: 10ms}}}}"
    );
    let onward = format!("otlp: {{endpoint: '{}', tls: {{insecure: true}}}}", sink.address());
    let agent = relay(Kind::Agent(program!()), &grpc, &onward).await;
    let ca = files.put("ca.pem", &files.ours.pem);
    let own = files.signed("collector", &files.ours.sign("collector"));
    let http = format!("http: {{endpoint: '127.0.0.1:{taken}'}}");
    let onward = format!(
        "otlp: {{endpoint: '127.0.0.1:{port}', tls: {{ca_file: '{ca}', {own}}}, \
         retry_on_failure: {{initial_interval: 100ms, max_interval: 100ms}}}}"
    );
    let _collector = relay(Kind::Collector, &http, &onward).await;
    push(taken, "logs", &line("of the Collector")).await;
    says(&agent, &["signed by no CA of", "client_ca_file"]).await;
    assert!(sink.is_empty());
    files.put("clients-ca.pem", &files.ours.pem);
    has_the_line(&sink, "of the Collector").await;
}

#[tokio::test]
async fn lines_reach_a_loki_that_wants_a_certificate() {
    let files = Files::new();
    files.signed("loki", &files.ours.sign("127.0.0.1"));
    let ca = files.put("ca.pem", &files.ours.pem);
    let path = files.path().display();
    let flags = [
        format!("-server.http-tls-cert-path={path}/loki.pem"),
        format!("-server.http-tls-key-path={path}/loki.key"),
        format!("-server.http-tls-ca-path={ca}"),
        "-server.http-tls-client-auth=RequireAndVerifyClientCert".to_owned(),
        "-server.tls-min-version=VersionTLS13".to_owned(),
    ];
    let test = files.ours.sign("test");
    let own = Some((&*test.certificate, &*test.key));
    let asker = Asker { ca: &files.ours.pem, own, login: None };
    let loki = Loki::start_secured(&flags.each_ref().map(String::as_str), asker).await.unwrap();
    for (arrived, wrong) in (0..).zip([Wrong::Ca, Wrong::Certificate]) {
        let endpoint = format!("https://{}/loki/api/v1/push", loki.address());
        let exporter = files.exporter("loki", &endpoint, wrong);
        let pipeline = "logs: {receivers: [otlp], exporters: [loki]}";
        let agent = Agent::start(&exporter, "health_check", pipeline).await;
        agent.push("logs", &line("to Loki")).await;
        agent.says(&wrong.is_named_by()).await;
        let query = "{exporter=\"OTLP\"} |= `to Loki`";
        assert_eq!(loki.count(query).await, Ok(arrived), "{wrong:?}");
        files.put_right();
        eventually("Loki has the line", async || match loki.count(query).await? {
            count if count == arrived + 1 => Ok(()),
            count => Err(format!("{count} lines")),
        })
        .await;
    }
}

#[tokio::test]
async fn spans_reach_a_tempo_that_wants_a_certificate() {
    let files = Files::new();
    let server = files.signed("tempo", &files.ours.sign("127.0.0.1"));
    let ca = files.put("ca.pem", &files.ours.pem);
    let tempo =
        Tempo::start_secured(&format!("{{{server}, client_ca_file: '{ca}'}}")).await.unwrap();
    for (wrong, trace_id) in [
        (Wrong::Ca, "0af7651916cd43dd8448eb211c80319c"),
        (Wrong::Certificate, "4bf92f3577b34da6a3ce929d0e0e4736"),
    ] {
        let exporter = files.exporter("otlp", tempo.otlp_grpc(), wrong);
        let pipeline = "traces: {receivers: [otlp], exporters: [otlp]}";
        let agent = Agent::start(&exporter, "health_check", pipeline).await;
        agent.push("traces", &span(trace_id)).await;
        agent.says(&wrong.is_named_by()).await;
        tempo.services(trace_id).await.unwrap_err();
        files.put_right();
        eventually("Tempo has the trace", async || {
            let services = tempo.services(trace_id).await?;
            if services.contains("service") { Ok(()) } else { Err(format!("{services:?}")) }
        })
        .await;
    }
}

/// What is wrong with the files of an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// The CA that it trusts.
    Ca,
    /// The certificate that it shows.
    Certificate,
}

impl Wrong {
    /// What the agent says of it: the fault, and the key that helps.
    fn is_named_by(self) -> [&'static str; 2] {
        match self {
            Self::Ca => [IS_NOT_TRUSTED, "ca_file"],
            Self::Certificate => ["not accept our certificate", "cert_file"],
        }
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

    /// An exporter whose files are wrong in one thing until they are put right.
    fn exporter(&self, name: &str, endpoint: &str, wrong: Wrong) -> String {
        let [mut trusted, mut shown] = [&self.ours; 2];
        match wrong {
            Wrong::Ca => trusted = &self.other,
            Wrong::Certificate => shown = &self.other,
        }
        let ca = self.put("trusted.pem", &trusted.pem);
        let own = self.signed("client", &shown.sign("agent"));
        format!(
            "
  {name}:
    endpoint: '{endpoint}'
    tls: {{ca_file: '{ca}', {own}, reload_interval: 10ms}}
    retry_on_failure: {{max_interval: 100ms}}
"
        )
    }

    fn put_right(&self) {
        self.put("trusted.pem", &self.ours.pem);
        self.signed("client", &self.ours.sign("agent"));
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
        says(&self.relay, why).await;
    }
}

/// One that hands on the lines that it takes by this protocol to this exporter.
async fn relay(kind: Kind<'_>, protocol: &str, exporter: &str) -> Relay {
    let own_metrics = configuration::own_metrics(kind);
    let config = format!(
        "receivers: {{otlp: {{protocols: {{{protocol}}}}}}}
exporters: {{{exporter}}}
extensions: {{health_check: {{endpoint: '127.0.0.1:HEALTH_PORT'}}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {own_metrics}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [otlp]}}}}
"
    );
    Relay::start(kind, &[config]).await.unwrap()
}

async fn says(relay: &Relay, why: &[&str]) {
    eventually(&format!("it says {why:?}"), async || {
        let written = relay.written();
        let is_said = written.lines().any(|line| why.iter().all(|part| line.contains(part)));
        if is_said { Ok(()) } else { Err(written) }
    })
    .await;
}

async fn has_the_line(sink: &Sink, text: &str) {
    eventually("the line has arrived, once", async || {
        let records = sink.records();
        let bodies: Vec<_> =
            records.iter().map(|record| &record["record"]["body"]["stringValue"]).collect();
        if bodies == [text] { Ok(()) } else { Err(format!("{records:?}")) }
    })
    .await;
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

/// A record with this text.
fn line(text: &str) -> Value {
    let records = json!([{ "timeUnixNano": now(), "body": { "stringValue": text } }]);
    let scope = json!([{ "logRecords": records }]);
    json!({ "resourceLogs": [{ "resource": resource(), "scopeLogs": scope }] })
}

/// A trace of one span.
fn span(trace_id: &str) -> Value {
    let [start, end] = [(); 2].map(|()| now());
    let span = json!({
        "traceId": trace_id,
        "spanId": "00f067aa0ba902b7",
        "name": "secured",
        "startTimeUnixNano": start,
        "endTimeUnixNano": end,
    });
    let scope = json!([{ "spans": [span] }]);
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": scope }] })
}

fn resource() -> Value {
    json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "service" } }] })
}

/// Nanoseconds since 1970.
fn now() -> String {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().to_string()
}

//! From agent to agent over TLS with whoever must show what: what is refused is named, counted, and delivered once it is
//! put right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use spanline_agent::agent::Agent;
use spanline_agent::config::Config;
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::tls::Connector;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use authority::{Authority, Signed, put};

#[path = "harness/authority.rs"]
mod authority;

const DEADLINE: Duration = Duration::from_secs(20);
const SPAN: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c",
    "spanId":"00f067aa0ba902b7","name":"a","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#;

struct Running {
    agent: HashMap<String, SocketAddr>,
    metrics: Arc<SelfMetrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(yaml: &str) -> Self {
        let config = Config::from_yaml(yaml, "test", &HashMap::new()).unwrap();
        let agent = Agent::build(&config).await.unwrap();
        let addresses = agent.addresses().map(|(what, at)| (what.to_owned(), at)).collect();
        let (stop, stopped) = oneshot::channel();
        let metrics = agent.metrics();
        let task = tokio::spawn(agent.run(async { _ = stopped.await }));
        Self { agent: addresses, metrics, stop: Some(stop), task }
    }

    fn has(&self, line: &str) -> bool {
        self.metrics.encode().unwrap().contains(line)
    }

    async fn until(&self, line: &str) {
        let waiting = async {
            while !self.has(line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, waiting).await;
        assert!(in_time.is_ok(), "no {line} in\n{}", self.metrics.encode().unwrap());
    }

    async fn push(&self) {
        let address = self.agent["receivers::otlp::http"];
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::post("/v1/traces")
            .header("host", address.to_string())
            .header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from_static(SPAN.as_bytes()))).unwrap();
        assert_eq!(client.send_request(request).await.unwrap().status(), 200);
        connection.abort();
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops in time").unwrap();
    }
}

/// An agent that takes spans over gRPC, with `settings` of the protocol, and the extensions `extensions`.
async fn receiver(folder: &Path, settings: &str, extensions: &str, started: &str) -> Running {
    let store = folder.join("store").display().to_string();
    Running::start(&format!(
        "extensions: {{{extensions}}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:0', {settings}}}}}}}}}
exporters: {{spanline_store: {{directory: '{store}', max_bytes: 16MiB}}}}
service:
  extensions: [{started}]
  pipelines: {{traces: {{receivers: [otlp], exporters: [spanline_store]}}}}
"
    ))
    .await
}

/// An agent that sends there what it gets over HTTP.
async fn sender(to: &Running, settings: &str, extensions: &str, started: &str) -> Running {
    let endpoint = to.agent["receivers::otlp::grpc"];
    Running::start(&format!(
        "extensions: {{{extensions}}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters:
  otlp:
    endpoint: '{endpoint}'
    retry_on_failure: {{max_interval: 100ms}}
    {settings}
service:
  extensions: [{started}]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
"
    ))
    .await
}

const TAKEN: &str = "spanline_agent_received_items_total{signal=\"traces\",transport=\"grpc\"} 1";
const DELIVERED: &str =
    "spanline_agent_exported_items_total{signal=\"traces\",exporter=\"otlp\"} 1";

/// Files in a folder, as settings.
fn files(folder: &Path, name: &str, signed: &Signed) -> String {
    let certificate = put(folder, &format!("{name}.pem"), &signed.certificate);
    let key = put(folder, &format!("{name}.key"), &signed.key);
    format!("cert_file: '{}', key_file: '{}'", certificate.display(), key.display())
}

#[tokio::test]
async fn spans_pass_with_each_way_of_knowing_each_other() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = put(folder.path(), "ca.pem", &ours.pem).display().to_string();
    let own = files(folder.path(), "server", &ours.sign("127.0.0.1"));
    let client = files(folder.path(), "client", &ours.sign("agent"));
    let token = "bearertokenauth: {token: abc}";
    let users = "basicauth: {htpasswd: {inline: 'me:abc'}}";
    let me = "basicauth: {client_auth: {username: me, password: abc}}";
    let (bearer, basic) =
        ("auth: {authenticator: bearertokenauth}", "auth: {authenticator: basicauth}");
    for mutual in [false, true] {
        for (theirs, ours, started, auth) in [
            ("", "", "", ""),
            (token, token, "bearertokenauth", bearer),
            (users, me, "basicauth", basic),
        ] {
            let state = tempfile::tempdir().unwrap();
            let (wanted, shown) = if mutual {
                (format!(", client_ca_file: '{ca}'"), format!(", {client}"))
            } else {
                Default::default()
            };
            let settings = format!("tls: {{{own}{wanted}}}, {auth}");
            let receiver = receiver(state.path(), &settings, theirs, started).await;
            let settings = format!("tls: {{ca_file: '{ca}'{shown}}}\n    {auth}");
            let sender = sender(&receiver, &settings, ours, started).await;
            sender.push().await;
            receiver.until(TAKEN).await;
            sender.until(DELIVERED).await;
            sender.stop().await;
            receiver.stop().await;
        }
    }
}

#[tokio::test]
async fn who_is_refused_is_counted_and_delivers_all_once_its_files_are_put_right() {
    let (ours, other) = (Authority::new(), Authority::new());
    for (refused, reason) in [
        ("a client certificate that is not known", "unknown_client_certificate"),
        ("an expired one", "expired_client_certificate"),
        ("a CA that did not sign the server's", "not_trusted"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let ca = put(path, "ca.pem", &ours.pem).display().to_string();
        let own = files(path, "server", &ours.sign("127.0.0.1"));
        let receiver =
            receiver(path, &format!("tls: {{{own}, client_ca_file: '{ca}'}}"), "", "").await;
        let (mut trusted, mut shown) = (&ours.pem, ours.sign("agent"));
        match reason {
            "unknown_client_certificate" => shown = other.sign("agent"),
            "expired_client_certificate" => shown = ours.sign_until("agent", 2001),
            _ => trusted = &other.pem,
        }
        let trusts = put(path, "trusted.pem", trusted).display().to_string();
        let shows = files(path, "client", &shown);
        let settings = format!("tls: {{ca_file: '{trusts}', {shows}, reload_interval: 10ms}}");
        let sender = sender(&receiver, &settings, "", "").await;
        sender.push().await;
        let listener = "receivers::otlp::grpc";
        receiver
            .until(&format!(
                "spanline_agent_refused_connections_total{{listener=\"{listener}\",reason=\"{reason}\"}}"
            ))
            .await;
        assert!(!receiver.has(TAKEN), "{refused}");
        put(path, "trusted.pem", &ours.pem);
        files(path, "client", &ours.sign("agent"));
        sender.until(DELIVERED).await;
        receiver.until(TAKEN).await;
        sender.stop().await;
        receiver.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_counted_and_what_it_was_sent_with_is_delivered_by_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = put(folder.path(), "token", "wrong").display().to_string();
    let auth = "auth: {authenticator: bearertokenauth}";
    let known = "bearertokenauth: {tokens: [old, new]}";
    let receiver = receiver(folder.path(), auth, known, "bearertokenauth").await;
    let settings = format!("tls: {{insecure: true}}\n    {auth}");
    let shown = format!("bearertokenauth: {{filename: '{file}'}}");
    let sender = sender(&receiver, &settings, &shown, "bearertokenauth").await;
    sender.push().await;
    receiver
        .until(
            "spanline_agent_denied_requests_total{listener=\"receivers::otlp::grpc\",reason=\"wrong_credentials\"}",
        )
        .await;
    put(folder.path(), "token", "new");
    sender.until(DELIVERED).await;
    receiver.until(TAKEN).await;
    sender.stop().await;
    receiver.stop().await;
}

#[tokio::test]
async fn a_scraper_gets_in_with_its_password_only_and_a_new_certificate_is_shown_to_the_next() {
    let (ours, next) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let own = files(path, "server", &ours.sign("127.0.0.1"));
    let agent = Running::start(&format!(
        "extensions: {{basicauth: {{htpasswd: {{inline: 'me:abc'}}}}}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters:
  prometheus:
    endpoint: '127.0.0.1:0'
    auth: {{authenticator: basicauth}}
    tls: {{{own}, reload_interval: 0s}}
service:
  extensions: [basicauth]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheus]}}}}
"
    ))
    .await;
    let address = agent.agent["exporters::prometheus"];
    let scrape = async |authority: &Authority, login: Option<&str>| {
        let ca = put(path, "ca.pem", &authority.pem).display().to_string();
        let client = format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, exporters: {{otlp: {{endpoint: 'a:1', tls: {{ca_file: '{ca}'}}}}}}, \
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}}}"
        );
        let config = Config::from_yaml(&client, "client", &HashMap::new()).unwrap();
        let spanline_agent::config::Exporter::Otlp(settings) = &config.exporters[0].settings else {
            panic!("{config:?}")
        };
        let mut connector = Connector::new(settings.tls.as_ref(), &[b"http/1.1"]).unwrap();
        let uri: http::Uri = format!("https://{address}/metrics").parse().unwrap();
        let stream =
            tower::Service::call(&mut connector, uri).await.map_err(|why| why.to_string())?;
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(|why| why.to_string())?;
        let connection = tokio::spawn(connection);
        let mut request = Request::get("/metrics").header("host", address.to_string());
        if let Some(login) = login {
            request = request.header("authorization", login);
        }
        let response = client.send_request(request.body(Full::<Bytes>::default()).unwrap()).await;
        let (head, body) = response.map_err(|why| why.to_string())?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        let challenge = head.headers.get("www-authenticate").map(|value| format!("{value:?}"));
        Ok::<_, String>((
            head.status.as_u16(),
            challenge,
            String::from_utf8(body.to_vec()).unwrap(),
        ))
    };
    // me:abc, and me:wrong
    let (right, wrong) = ("Basic bWU6YWJj", "Basic bWU6d3Jvbmc=");
    assert_eq!(scrape(&ours, Some(right)).await.unwrap().0, 200);
    for login in [None, Some(wrong), Some("Bearer abc")] {
        let (status, challenge, told) = scrape(&ours, login).await.unwrap();
        assert_eq!(status, 401, "{login:?}");
        assert!(challenge.unwrap().contains("Basic realm"), "{login:?}");
        assert!(told.contains("a name and a password"), "{told}");
    }
    for (reason, count) in [("no_credentials", 1), ("wrong_credentials", 2)] {
        let line = format!("listener=\"exporters::prometheus\",reason=\"{reason}\"}} {count}\n");
        assert!(agent.has(&line), "{line}");
    }
    // The key first: between the two the pair is half new, and the old one stays in force.
    let renewed = next.sign("127.0.0.1");
    put(path, "server.key", &renewed.key);
    assert_eq!(scrape(&ours, Some(right)).await.unwrap().0, 200);
    put(path, "server.pem", &renewed.certificate);
    assert_eq!(scrape(&next, Some(right)).await.unwrap().0, 200);
    scrape(&ours, Some(right)).await.unwrap_err();
    agent.stop().await;
}

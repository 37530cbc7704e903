//! Each way between processes, over TLS with whoever must show what: a service's spans to the agent, and a scraper to
//! the service's metrics. Who is refused is told why, and what a service made in the meantime arrives once its files are
//! put right.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use spanline_tests::{Receiver, SPANS_OF_SERVICE, Service, WITHIN, eventually, program};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;

use authority::{Authority, Signed, put};

#[path = "../../agent/tests/harness/authority.rs"]
mod authority;

const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];
const TOKEN: &str = "abc";

/// An agent that takes spans from those who show a certificate of ours and a token, and what it sends on.
struct SecuredAgent {
    authority: Authority,
    http: SocketAddr,
    grpc: SocketAddr,
    takes: Receiver,
    _process: Child,
    folder: TempDir,
}

impl SecuredAgent {
    /// One whose own certificate is good until the year begins.
    async fn until(year: i32) -> Self {
        let (authority, takes) = (Authority::new(), Receiver::start().await.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let own = authority.sign_until("127.0.0.1", year);
        let secured = format!(
            "tls: {{cert_file: '{}', key_file: '{}', client_ca_file: '{}'}}, auth: {{authenticator: bearertokenauth}}",
            put(path, "agent.pem", &own.certificate).display(),
            put(path, "agent.key", &own.key).display(),
            put(path, "ca.pem", &authority.pem).display(),
        );
        let (http, grpc, onward) = (free(), free(), takes.endpoint());
        let config = format!(
            "extensions: {{bearertokenauth: {{token: {TOKEN}}}}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '{http}', {secured}}}, grpc: {{endpoint: '{grpc}', {secured}}}}}}}}}
exporters: {{otlphttp: {{endpoint: '{onward}', compression: none}}}}
service:
  extensions: [bearertokenauth]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlphttp]}}}}
"
        );
        let log = path.join("agent.log");
        let process = Command::new(program!())
            .args(["spanline-agent", "--config"])
            .arg(put(path, "agent.yaml", &config))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        for address in [http, grpc] {
            eventually("the agent listens", async || match TcpStream::connect(address).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error}; {}", text(&log))),
            })
            .await;
        }
        Self { authority, http, grpc, takes, _process: process, folder }
    }

    /// A service that has made its spans, trusts and shows what is in its files, and waits for a signal.
    async fn service(&self, protocol: &str, trusted: &str, own: &Signed, token: &str) -> Sender {
        let name = protocol.replace('/', "-");
        let file = |kind: &str, content: &str| {
            put(self.folder.path(), &format!("{name}.{kind}"), content).display().to_string()
        };
        let address = if protocol == "grpc" { self.grpc } else { self.http };
        let lines = self.folder.path().join(format!("{name}.log"));
        let process = Service::ready(
            service(),
            ["none", "signal"],
            &[
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("https://{address}")),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", &file("ca", trusted)),
                ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &file("pem", &own.certificate)),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &file("key", &own.key)),
                ("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{token}")),
                ("SPANLINE_LOG_OUTPUT", &lines.display().to_string()),
            ],
        )
        .await
        .unwrap();
        Sender { process, lines, name }
    }

    async fn has_passed_on(&self, spans: usize) {
        eventually("the agent passes on every span", async || {
            let passed = self.takes.span_ids().len();
            if passed == spans { Ok(()) } else { Err(format!("{passed} spans")) }
        })
        .await;
    }
}

/// A service, and where its lines are.
struct Sender {
    process: Service,
    lines: PathBuf,
    name: String,
}

impl Sender {
    async fn says(&self, why: &[&str]) {
        eventually(&format!("the service says {why:?}"), async || {
            let lines = text(&self.lines);
            let warnings: Vec<_> = lines.lines().filter(|line| !line.contains("worked")).collect();
            let is_said = warnings.iter().any(|line| why.iter().all(|part| line.contains(part)));
            if is_said { Ok(()) } else { Err(warnings.join("\n")) }
        })
        .await;
    }

    async fn ends(self) {
        self.process.signal(Signal::TERM);
        self.process.ended(WITHIN).await.unwrap();
    }
}

fn service() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_spanline-service-under-test"))
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn spans_reach_an_agent_that_wants_a_certificate_and_a_token() {
    let agent = SecuredAgent::until(2090).await;
    let own = agent.authority.sign("service");
    for (sent, protocol) in (1..).zip(PROTOCOLS) {
        let sender = agent.service(protocol, &agent.authority.pem, &own, TOKEN).await;
        agent.has_passed_on(sent * SPANS_OF_SERVICE).await;
        sender.ends().await;
    }
}

#[tokio::test]
async fn a_service_with_a_wrong_file_says_which_and_loses_nothing_once_it_is_put_right() {
    let agent = SecuredAgent::until(2090).await;
    let (ours, other) = (&agent.authority, Authority::new());
    let own = ours.sign("service");
    let mut sent = 0;
    for protocol in PROTOCOLS {
        for (trusted, shown, why) in [
            (&other.pem, &own, ["signed by no CA of", "OTEL_EXPORTER_OTLP_CERTIFICATE"]),
            (
                &ours.pem,
                &other.sign("service"),
                ["our certificate", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
            ),
        ] {
            let sender = agent.service(protocol, trusted, shown, TOKEN).await;
            sender.says(&why).await;
            assert_eq!(agent.takes.span_ids().len(), sent, "{protocol}: {why:?}");
            // The key first: a certificate with another's key is a wrong file, too.
            let files = [("key", &own.key), ("pem", &own.certificate), ("ca", &ours.pem)];
            for (kind, content) in files {
                put(agent.folder.path(), &format!("{}.{kind}", sender.name), content);
            }
            sent += SPANS_OF_SERVICE;
            agent.has_passed_on(sent).await;
            sender.ends().await;
        }
    }
}

#[tokio::test]
async fn a_wrong_token_and_an_agent_whose_certificate_has_expired_are_named_and_nothing_passes() {
    let denied = [("http/protobuf", "401 Unauthorized"), ("grpc", "Unauthenticated")];
    let expired = PROTOCOLS.map(|protocol| (protocol, "has expired"));
    for (year, token, reasons) in [(2090, "abd", denied), (2001, TOKEN, expired)] {
        let agent = SecuredAgent::until(year).await;
        let own = agent.authority.sign("service");
        for (protocol, why) in reasons {
            let sender = agent.service(protocol, &agent.authority.pem, &own, token).await;
            sender.says(&[why]).await;
            sender.ends().await;
        }
        assert_eq!(agent.takes.requests(), 0, "{reasons:?}");
    }
}

#[tokio::test]
async fn a_scraper_must_show_the_certificate_and_the_token_that_the_service_asks_for() {
    let (ours, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let own = ours.sign("127.0.0.1");
    let file = |name: &str, content: &str| put(folder.path(), name, content).display().to_string();
    let address = free();
    let service = Service::ready(
        service(),
        ["none", "signal"],
        &[
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
            ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", &address.port().to_string()),
            ("SPANLINE_METRICS_CERTIFICATE", &file("own.pem", &own.certificate)),
            ("SPANLINE_METRICS_KEY", &file("own.key", &own.key)),
            ("SPANLINE_METRICS_CLIENT_CA", &file("ca.pem", &ours.pem)),
            ("SPANLINE_METRICS_TOKEN_FILE", &file("token", TOKEN)),
        ],
    )
    .await
    .unwrap();
    let scraper = ours.sign("scraper");
    let stranger = other.sign("scraper");
    for own in [None, Some(&stranger)] {
        let refused = scrape(address, &ours, own, TOKEN).await.unwrap_err();
        assert!(refused.contains("alert"), "{refused}");
    }
    let denied = scrape(address, &ours, Some(&scraper), "abd").await.unwrap();
    assert!(denied.starts_with("HTTP/1.1 401"), "{denied}");
    assert!(denied.contains("SPANLINE_METRICS_TOKEN_FILE"), "{denied}");
    let served = scrape(address, &ours, Some(&scraper), TOKEN).await.unwrap();
    assert!(served.starts_with("HTTP/1.1 200"), "{served}");
    assert!(served.contains("spanline_metrics_scrapers_refused_total 3\n"), "{served}");
    service.signal(Signal::TERM);
    service.ended(WITHIN).await.unwrap();
}

/// What the service answers, its head included; or why there is no answer.
async fn scrape(
    address: SocketAddr,
    trusted: &Authority,
    own: Option<&Signed>,
    token: &str,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        Some(Signed { certificate, key }) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    let asked = async {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        // A refusal may come before this is written; it is read either way.
        let written = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        written?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    asked.await.map_err(|error: std::io::Error| error.to_string())
}

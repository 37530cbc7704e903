//! A client and a server with certificates made here: who trusts whom, and what is said when they do not.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;

use super::*;
use crate::config::{Config, Exporter};
use authority::{Authority, Signed, put};

#[path = "../../tests/harness/authority.rs"]
mod authority;
#[path = "../../tests/harness/tls_server.rs"]
mod tls_server;

/// Echoes a byte to whoever passes the handshake.
async fn server(own: &Signed, clients: Option<&Authority>) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(tls_server::tls(own, clients)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(tcp).await?;
                let byte = stream.read_u8().await?;
                stream.write_u8(byte).await?;
                stream.shutdown().await
            });
        }
    });
    address
}

/// A client with files as they are needed.
struct Client {
    folder: TempDir,
    tls: String,
}

impl Client {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), tls: "reload_interval: 0s".to_owned() }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.tls += &format!(", {key}: '{value}'");
        self
    }

    fn with_file(self, key: &str, content: &str) -> Self {
        let path = put(self.folder.path(), key, content);
        self.with(key, path.to_str().unwrap())
    }

    fn trusting(self, authority: &Authority) -> Self {
        self.with_file("ca_file", &authority.pem)
    }

    fn showing(self, own: &Signed) -> Self {
        self.with_file("cert_file", &own.certificate).with_file("key_file", &own.key)
    }

    fn connector(&self) -> Result<Connector, crate::reload::Unusable> {
        let yaml = format!(
            "{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, exporters: {{otlp: {{endpoint: 'a:1', tls: {{{}}}}}}}, \
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}}}",
            self.tls
        );
        let vars = std::collections::HashMap::new();
        let config = Config::from_yaml(&yaml, "c.yaml", &vars).unwrap();
        let Exporter::Otlp(settings) = &config.exporters[0].settings else { panic!("{config:?}") };
        Connector::new(settings.tls.as_ref(), &[b"h2"])
    }
}

/// Sends a byte and waits for it.
async fn exchange(connector: &Connector, address: SocketAddr) -> Result<(), String> {
    let uri = format!("https://{address}").parse().unwrap();
    let failed = |error: std::io::Error| {
        connector.distrust().why().unwrap_or_else(|| format!("not noted: {error}"))
    };
    let mut stream: Stream =
        connector.clone().call(uri).await.map(TokioIo::into_inner).map_err(failed)?;
    stream.write_u8(7).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    stream.read_u8().await.map_err(failed)?;
    assert_eq!(connector.distrust().why(), None, "what works is trusted");
    Ok(())
}

async fn is_distrusted(client: &Client, address: SocketAddr, because: &[&str]) {
    let why = exchange(&client.connector().unwrap(), address).await.unwrap_err();
    for part in because {
        assert!(why.contains(part), "{why:?} does not say {part:?}");
    }
}

#[tokio::test]
async fn a_server_must_be_whom_the_settings_name() {
    let (ours, other) = (Authority::new(), Authority::new());
    let by_ip = server(&ours.sign("127.0.0.1"), None).await;
    let good = Client::new().trusting(&ours);
    exchange(&good.connector().unwrap(), by_ip).await.unwrap();
    is_distrusted(
        &Client::new().trusting(&other),
        by_ip,
        &["signed by no CA of ", "ca_file (c.yaml:1)", "by exporters::otlp::tls::ca_file"],
    )
    .await;

    let by_name = server(&ours.sign("tempo.internal"), None).await;
    is_distrusted(&good, by_name, &["is not for 127.0.0.1", "tls::server_name_override"]).await;
    let named = Client::new().trusting(&ours).with("server_name_override", "tempo.internal");
    exchange(&named.connector().unwrap(), by_name).await.unwrap();

    let expired = server(&ours.sign_until("127.0.0.1", 2001), None).await;
    is_distrusted(&good, expired, &["has expired", "renew it, or set this clock"]).await;
}

#[tokio::test]
async fn a_client_must_be_whom_the_server_knows() {
    let (ours, other) = (Authority::new(), Authority::new());
    let address = server(&ours.sign("127.0.0.1"), Some(&ours)).await;
    let nobody = Client::new().trusting(&ours);
    is_distrusted(&nobody, address, &["wants a client certificate", "tls::cert_file"]).await;
    let known = Client::new().trusting(&ours).showing(&ours.sign("agent"));
    exchange(&known.connector().unwrap(), address).await.unwrap();
    for (stranger, why) in
        [(other.sign("agent"), "its CA must be"), (ours.sign_until("agent", 2001), "expired")]
    {
        let stranger = Client::new().trusting(&ours).showing(&stranger);
        is_distrusted(&stranger, address, &["not accept our certificate", "cert_file", why]).await;
    }
    let old = Client::new().trusting(&ours).with("max_version", "1.2");
    is_distrusted(&old, address, &["wants a client certificate"]).await;
}

#[tokio::test]
async fn what_speaks_no_tls_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let client = Client::new().trusting(&Authority::new());
    is_distrusted(&client, address, &["speak no TLS", "exporters::otlp::tls::insecure: true"])
        .await;
}

#[tokio::test]
async fn new_files_are_used_by_the_next_connection_and_broken_ones_are_not() {
    let (ours, next) = (Authority::new(), Authority::new());
    let (first, second) =
        (server(&ours.sign("127.0.0.1"), None).await, server(&next.sign("127.0.0.1"), None).await);
    let client = Client::new().trusting(&ours);
    let connector = client.connector().unwrap();
    exchange(&connector, first).await.unwrap();
    exchange(&connector, second).await.unwrap_err();
    put(client.folder.path(), "ca_file", "half a file");
    exchange(&connector, first).await.unwrap();
    put(client.folder.path(), "ca_file", &next.pem);
    exchange(&connector, second).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_end_the_start_with_their_key() {
    let (ours, other) = (Authority::new(), Authority::new());
    let own = ours.sign("agent");
    let foreign =
        Signed { certificate: own.certificate.clone(), key: other.sign("agent").key.clone() };
    let key_in_its_place = Client::new().with_file("ca_file", &own.key);
    for (client, because) in [
        (Client::new().with("ca_file", "/none/at/all"), "No such file"),
        (key_in_its_place, "no PEM certificate in it"),
        (Client::new().showing(&foreign), "does not belong to the certificate"),
        (Client::new().with("cert_pem", "a").with("key_pem", "SECRET"), "no PEM certificate"),
    ] {
        let told = client.connector().unwrap_err().to_string();
        assert!(told.contains(because) && told.contains("exporters::otlp::tls::"), "{told}");
        assert!(!told.contains("SECRET") && !told.contains("PRIVATE KEY"), "{told}");
    }
}

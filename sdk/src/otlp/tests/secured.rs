//! TLS in each combination of what is trusted, what is shown, and what is wrong with it.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::*;

const CA: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const SERVER_NAME: &str = "SPANLINE_OTLP_SERVER_NAME";

/// A CA, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2090)
    }

    fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }
}

/// A receiver that shows `own`, and wants a certificate of `clients` if there is one.
async fn receiver(protocol: &str, own: &Signed, clients: Option<&Authority>) -> Receiver {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = Receiver::at(&listener);
    let seen = Arc::clone(&receiver.seen);
    let reply = Reply::taken(protocol, Bytes::new());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, reply, seen) = (acceptor.clone(), reply.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(tcp).await {
                    serve(stream, reply, seen).await;
                }
            });
        }
    });
    receiver
}

/// Settings for a receiver, with files as they are needed.
struct Client {
    directory: TempDir,
    vars: Vec<(&'static str, String)>,
}

impl Client {
    fn of(receiver: &Receiver, protocol: &str) -> Self {
        let vars = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://{}", receiver.address)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ];
        Self { directory: tempfile::tempdir().unwrap(), vars }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn with(mut self, setting: &'static str, value: impl AsRef<Path>) -> Self {
        self.vars.push((setting, value.as_ref().display().to_string()));
        self
    }

    fn with_file(self, setting: &'static str, content: &str) -> Self {
        let file = self.file(setting);
        std::fs::write(&file, content).unwrap();
        self.with(setting, file)
    }

    fn trusting(self, authority: &Authority) -> Self {
        self.with_file(CA, &authority.pem)
    }

    fn showing(self, signed: &Signed) -> Self {
        self.with_file(CLIENT_CERTIFICATE, &signed.certificate).with_file(CLIENT_KEY, &signed.key)
    }

    async fn is_taken(&self) {
        let answer = sent(self.vars.clone()).await;
        assert!(matches!(answer, Answer::Taken { .. }), "{:?}: {answer:?}", self.vars);
    }

    async fn is_distrusted(&self, because: &[&str]) {
        let answer = sent(self.vars.clone()).await;
        let Answer::Distrusted { why } = answer else { panic!("{:?}: {answer:?}", self.vars) };
        for part in because {
            assert!(why.contains(part), "{why:?} does not say {part:?}");
        }
    }
}

#[tokio::test]
async fn the_receiver_must_be_whom_the_settings_name() {
    let (ours, other) = (Authority::new(), Authority::new());
    for protocol in PROTOCOLS {
        let by_ip = receiver(protocol, &ours.sign("127.0.0.1"), None).await;
        Client::of(&by_ip, protocol).trusting(&ours).is_taken().await;
        assert_eq!(by_ip.seen().len(), 1);
        Client::of(&by_ip, protocol).is_distrusted(&["signed by no CA", CA]).await;
        Client::of(&by_ip, protocol).trusting(&other).is_distrusted(&["signed by no CA", CA]).await;

        let by_name = receiver(protocol, &ours.sign("agent.example"), None).await;
        let client = Client::of(&by_name, protocol).trusting(&ours);
        client.is_distrusted(&["not for 127.0.0.1", "agent.example", SERVER_NAME]).await;
        client.with(SERVER_NAME, "agent.example").is_taken().await;

        let expired = receiver(protocol, &ours.sign_until("127.0.0.1", 2001), None).await;
        Client::of(&expired, protocol).trusting(&ours).is_distrusted(&["has expired"]).await;
        assert_eq!(by_name.seen().len() + expired.seen().len(), 1, "nothing goes to strangers");
    }
}

#[tokio::test]
async fn a_receiver_that_wants_to_know_us_is_shown_our_certificate() {
    let (ours, other) = (Authority::new(), Authority::new());
    for protocol in PROTOCOLS {
        let receiver = receiver(protocol, &ours.sign("127.0.0.1"), Some(&ours)).await;
        let client = || Client::of(&receiver, protocol).trusting(&ours);
        client().showing(&ours.sign("checkout")).is_taken().await;
        let wanted = ["wants a client certificate", CLIENT_CERTIFICATE, CLIENT_KEY];
        client().is_distrusted(&wanted).await;
        let foreign = client().showing(&other.sign("checkout"));
        foreign.is_distrusted(&["not accept our certificate", CLIENT_CERTIFICATE]).await;
        let expired = client().showing(&ours.sign_until("checkout", 2001));
        expired.is_distrusted(&["not accept our certificate", CLIENT_CERTIFICATE]).await;
        assert_eq!(receiver.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_receiver_without_tls_is_told_from_one_with_it() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(Reply::taken(protocol, Bytes::new())).await;
        let client = Client::of(&receiver, protocol);
        client.is_distrusted(&["seems to speak no TLS", "http://"]).await;
        assert_eq!(receiver.seen().len(), 0);
    }
}

#[tokio::test]
async fn files_are_read_again_for_each_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    for protocol in PROTOCOLS {
        let receiver = receiver(protocol, &new.sign("127.0.0.1"), Some(&new)).await;
        let client = Client::of(&receiver, protocol).trusting(&old).showing(&old.sign("checkout"));
        let (config, faults) = config(Signal::Traces, client.vars.clone());
        assert_eq!(faults, []);
        let sender = crate::otlp::connect(&config);
        let answer = sender.send(Bytes::new()).await;
        assert!(matches!(answer, Answer::Distrusted { .. }), "{answer:?}");
        let renewed = new.sign("checkout");
        std::fs::write(client.file(CA), &new.pem).unwrap();
        std::fs::write(client.file(CLIENT_CERTIFICATE), &renewed.certificate).unwrap();
        std::fs::write(client.file(CLIENT_KEY), &renewed.key).unwrap();
        let answer = sender.send(Bytes::new()).await;
        assert!(matches!(answer, Answer::Taken { .. }), "{protocol}: {answer:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_at_start_and_nothing_is_sent_without_it() {
    let ours = Authority::new();
    let (one, two) = (ours.sign("one"), ours.sign("two"));
    let receiver = receiver("http/protobuf", &ours.sign("127.0.0.1"), None).await;
    let client = || Client::of(&receiver, "http/protobuf");
    let cases = [
        (client().with(CA, "/nowhere/ca.pem"), CA, "No such file"),
        (client().with_file(CA, "no certificate"), CA, "no PEM certificate"),
        (
            client().trusting(&ours).with_file(CLIENT_CERTIFICATE, &one.certificate),
            CLIENT_CERTIFICATE,
            CLIENT_KEY,
        ),
        (client().trusting(&ours).with_file(CLIENT_KEY, &one.key), CLIENT_KEY, CLIENT_CERTIFICATE),
        (
            client()
                .with_file(CLIENT_CERTIFICATE, &one.certificate)
                .with_file(CLIENT_KEY, "no key"),
            CLIENT_KEY,
            "no PEM key",
        ),
        (
            client()
                .with_file(CLIENT_CERTIFICATE, &one.certificate)
                .with_file(CLIENT_KEY, &two.key),
            CLIENT_KEY,
            "does not belong",
        ),
        (client().trusting(&ours).with(SERVER_NAME, "not a name"), SERVER_NAME, "a DNS name"),
    ];
    for (client, setting, what) in cases {
        let (_, faults) = config(Signal::Traces, client.vars.clone());
        assert_eq!(faults.len(), 1, "{setting}: {faults:?}");
        let told = faults[0].to_string();
        assert!(faults[0].setting == setting && told.contains(what), "{told}");
        assert!(!told.contains("PRIVATE KEY"), "{told}");
    }

    let client = client().with(CA, "/nowhere/ca.pem");
    let (config, _) = config(Signal::Traces, client.vars);
    let answer = crate::otlp::connect(&config).send(Bytes::new()).await;
    assert!(
        matches!(&answer, Answer::Distrusted { why } if why.contains("/nowhere/ca.pem")),
        "{answer:?}"
    );
    assert_eq!(receiver.seen().len(), 0);
}

#[test]
fn certificates_for_an_endpoint_without_tls_are_a_contradiction() {
    let vars = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://agent:4318".to_owned()),
        (CA, "/etc/ca.pem".to_owned()),
    ];
    let (config, faults) = config(Signal::Traces, vars);
    assert!(config.tls.is_none());
    assert!(faults.len() == 1 && faults[0].to_string().contains("https://"), "{faults:?}");
}

//! Who may scrape, and what the others get.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::{MetricsConfig, Overrides};
use crate::error::Fault;
use crate::vars::{Reader, Vars};

/// A CA that signs a certificate for this machine; both files are in `folder`.
fn certified(folder: &Path, name: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = own.signed_by(&key, &issuer).unwrap().pem();
    let write = |kind: &str, text: &str| {
        let path = folder.join(format!("{name}.{kind}"));
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    (write("ca", &ca), write("pem", &certificate), write("key", &key.serialize_pem()))
}

struct Given(HashMap<String, String>);

impl Vars for Given {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

fn read(vars: &[(&str, &str)]) -> (MetricsConfig, Vec<String>) {
    let vars =
        Given(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    let mut reader = Reader::new(&vars);
    let config = MetricsConfig::read(false, &Overrides::default(), &mut reader);
    let told = |fault: &Fault| format!("{fault}; {}", fault.instead);
    (config, reader.into_faults().iter().map(told).collect())
}

fn serving(vars: &[(&str, &str)]) -> Listener {
    let (config, faults) = read(vars);
    assert!(faults.is_empty() && config.listen.is_some(), "{faults:?}");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listener::start(any, config.security, Registry::default()).unwrap()
}

/// The status line that a scraper gets, if it gets one.
async fn scrape(
    listener: &Listener,
    ca: &str,
    own: Option<(&str, &str)>,
    token: Option<&str>,
) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
    let config = match own {
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    let tcp = TcpStream::connect(listener.address()).await.ok()?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = connector.connect(name, tcp).await.ok()?;
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{token}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    // Whether the end is told properly is another question.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().map(str::to_owned)
}

#[tokio::test]
async fn a_scraper_needs_the_certificate_and_the_token_that_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certified(folder.path(), "ours");
    let (other_ca, other, other_key) = certified(folder.path(), "other");
    let token = folder.path().join("token");
    std::fs::write(&token, "abc\n").unwrap();
    let listener = serving(&[
        ("SPANLINE_METRICS_CERTIFICATE", &certificate),
        ("SPANLINE_METRICS_KEY", &key),
        ("SPANLINE_METRICS_CLIENT_CA", &ca),
        ("SPANLINE_METRICS_TOKEN_FILE", token.to_str().unwrap()),
    ]);
    let known = Some((certificate.as_str(), key.as_str()));
    let status = |answer: Option<String>| answer.unwrap_or_default();
    assert!(status(scrape(&listener, &ca, known, Some("abc")).await).contains("200"));
    for wrong in [None, Some("abd"), Some("abcd"), Some("")] {
        assert!(status(scrape(&listener, &ca, known, wrong).await).contains("401"), "{wrong:?}");
    }
    let stranger = Some((other.as_str(), other_key.as_str()));
    for own in [None, stranger] {
        assert_eq!(scrape(&listener, &ca, own, Some("abc")).await, None);
    }
    assert_eq!(scrape(&listener, &other_ca, known, Some("abc")).await, None);
    let mut plain = TcpStream::connect(listener.address()).await.unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn renewed_files_are_in_force_with_the_next_connection_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certified(folder.path(), "ours");
    let token = folder.path().join("token");
    std::fs::write(&token, "first").unwrap();
    let listener = serving(&[
        ("SPANLINE_METRICS_CERTIFICATE", &certificate),
        ("SPANLINE_METRICS_KEY", &key),
        ("SPANLINE_METRICS_TOKEN_FILE", token.to_str().unwrap()),
    ]);
    assert!(scrape(&listener, &ca, None, Some("first")).await.unwrap().contains("200"));
    std::fs::write(&key, "half").unwrap();
    std::fs::write(&token, "second").unwrap();
    assert!(scrape(&listener, &ca, None, Some("second")).await.unwrap().contains("200"));
    assert!(scrape(&listener, &ca, None, Some("first")).await.unwrap().contains("401"));
    let old_ca = folder.path().join("old.ca");
    std::fs::copy(&ca, &old_ca).unwrap();
    certified(folder.path(), "ours");
    assert!(scrape(&listener, &ca, None, Some("second")).await.unwrap().contains("200"));
    assert_eq!(scrape(&listener, old_ca.to_str().unwrap(), None, Some("second")).await, None);
}

#[test]
fn what_cannot_be_secured_is_not_served_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, certificate, key) = certified(folder.path(), "ours");
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let (own, its_key) = ("SPANLINE_METRICS_CERTIFICATE", "SPANLINE_METRICS_KEY");
    let pem = std::fs::read_to_string(&key).unwrap();
    for (vars, why) in [
        (vec![(own, certificate.as_str())], "with SPANLINE_METRICS_KEY beside it"),
        (vec![(its_key, key.as_str())], "with SPANLINE_METRICS_CERTIFICATE beside it"),
        (
            vec![("SPANLINE_METRICS_CLIENT_CA", ca.as_str())],
            "with SPANLINE_METRICS_CERTIFICATE beside it",
        ),
        (vec![(own, "/none"), (its_key, key.as_str())], "No such file"),
        (vec![(own, certificate.as_str()), (its_key, pem.as_str())], "the path of a file"),
        (vec![("SPANLINE_METRICS_TOKEN_FILE", empty.to_str().unwrap())], "it is empty"),
    ] {
        let (config, faults) = read(&vars);
        let told = faults.join("\n");
        assert!(told.contains(why) && told.contains("metrics are not served"), "{told}");
        assert!(!told.contains("PRIVATE KEY"), "{told}");
        assert!(config.listen.is_none(), "{why}");
    }
}

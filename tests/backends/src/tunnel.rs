//! A way through TLS for those who ask in plain text.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// What a server over TLS wants of the test that asks it, as PEM.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The CA that signed the server's certificate.
    pub ca: &'a str,
    /// A certificate to show, and its key.
    pub own: Option<(&'a str, &'a str)>,
    /// `name:password`, for basic auth.
    pub login: Option<&'a str>,
}

/// Takes plain text on loopback, and speaks TLS with a server there. Its drop ends it.
#[derive(Debug)]
pub(crate) struct Tunnel {
    url: String,
    task: JoinHandle<()>,
}

impl Tunnel {
    /// Where the server at `port` is asked, and the way there if one is needed.
    pub(crate) async fn to(
        port: u16,
        asker: Option<Asker<'_>>,
    ) -> io::Result<(String, Option<Self>)> {
        match asker {
            Some(asker) => {
                let tunnel = Self::start(port, asker).await?;
                Ok((tunnel.url.clone(), Some(tunnel)))
            }
            None => Ok((format!("http://127.0.0.1:{port}"), None)),
        }
    }

    async fn start(port: u16, asker: Asker<'_>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let login = asker.login.map(|login| format!("{login}@")).unwrap_or_default();
        let url = format!("http://{login}{}", listener.local_addr()?);
        let connector = TlsConnector::from(Arc::new(config(asker)?));
        let task = tokio::spawn(async move {
            while let Ok((plain, _)) = listener.accept().await {
                // An error ends the connection, and whoever asks notices that.
                tokio::spawn(carry(plain, port, connector.clone()));
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut plain: TcpStream, port: u16, connector: TlsConnector) -> io::Result<()> {
    let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let mut secured = connector.connect(name, tcp).await?;
    copy_bidirectional(&mut plain, &mut secured).await?;
    Ok(())
}

fn config(asker: Asker<'_>) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(asker.ca)?).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    match asker.own {
        Some((own, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
            config.with_client_auth_cert(vec![certificate(own)?], key).map_err(io::Error::other)
        }
        None => Ok(config.with_no_client_auth()),
    }
}

fn certificate(pem: &str) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(io::Error::other)
}

//! TLS in the Collector's words: whom to trust, who we are, how old a protocol may be.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::section::{Section, Setting};

/// A certificate, its key, or a list of CAs.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In the file of this path.
    File(Setting),
    /// In the configuration itself.
    Text(Setting),
}

/// A version of TLS. Older ones are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// What a client goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// The keys that lead to these settings, for a remedy.
    pub path: String,
    /// The CAs that may sign the server's certificate; those of the system, where none are named.
    pub ca: Option<Pem>,
    /// Whether the system's CAs are trusted besides the named ones.
    pub with_system_ca: bool,
    /// Our certificate and its key, if the server wants to know us.
    pub own: Option<(Pem, Pem)>,
    /// What the server's certificate must be for, if it is not the host of the endpoint.
    pub server_name: Option<String>,
    /// The oldest and the newest version that is spoken.
    pub versions: (TlsVersion, TlsVersion),
    /// How often, at most, files are looked at for changes.
    pub reload_interval: Duration,
}

/// What a server goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The keys that lead to these settings, for a remedy.
    pub path: String,
    /// The server's certificate and its key.
    pub own: (Pem, Pem),
    /// The CAs that must have signed a client's certificate; without them clients need none.
    pub client_ca: Option<Pem>,
    /// The oldest and the newest version that is spoken.
    pub versions: (TlsVersion, TlsVersion),
    /// How often, at most, files are looked at for changes.
    pub reload_interval: Duration,
}

/// A new certificate is in use this soon; to look costs a system call for each file.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

const VERSIONS: &[(&str, TlsVersion)] = &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)];

/// `tls` of a client over gRPC, which speaks TLS unless it is told not to.
pub(super) fn grpc_client(exporter: &mut Section<'_>, is_https: bool) -> Option<ClientTls> {
    let mut section = exporter.section("tls");
    let insecure = section.bool("insecure", false);
    let tls = client(&mut section);
    if insecure && is_https {
        section.fault(INSECURE_HTTPS);
    } else if insecure && tls != ClientTls::at(section.path()) {
        section.fault("insecure is plain text, in which nothing else here acts: take one away");
    }
    (!insecure).then_some(tls)
}

/// `tls` of a client over HTTP, which speaks TLS where its endpoint begins with `https://`.
pub(super) fn http_client(exporter: &mut Section<'_>, is_https: bool) -> Option<ClientTls> {
    let mut section = exporter.section("tls");
    let insecure = section.bool("insecure", false);
    let tls = client(&mut section);
    if insecure && is_https {
        section.fault(INSECURE_HTTPS);
    } else if !is_https && tls != ClientTls::at(section.path()) {
        section.fault("acts on an endpoint that begins with https:// only: change one of them");
    }
    is_https.then_some(tls)
}

const INSECURE_HTTPS: &str =
    "insecure is plain text, and the endpoint begins with https://: change one of them";

fn client(section: &mut Section<'_>) -> ClientTls {
    let unset = ClientTls::at(section.path());
    if section.bool("insecure_skip_verify", false) {
        section.fault(
            "insecure_skip_verify must be false: whoever stands between could read and change everything; name the \
             server's CA by ca_file, and what its certificate is for by server_name_override",
        );
    }
    let server_name =
        section.parsed("server_name_override", "a DNS name or an IP address", |text, _| {
            ServerName::try_from(text.to_owned()).ok().map(|_| text.to_owned())
        });
    let ca = pem(section, "ca_file", "ca_pem");
    let with_system_ca = section.bool("include_system_ca_certs_pool", false);
    if with_system_ca && ca.is_none() {
        section.fault("include_system_ca_certs_pool acts beside ca_file or ca_pem only");
    }
    ClientTls {
        ca,
        with_system_ca,
        own: own(section),
        server_name,
        versions: versions(section),
        reload_interval: section.duration("reload_interval", RELOAD_INTERVAL),
        ..unset
    }
}

/// `tls` of something that listens, if it is there.
pub(super) fn server(component: &mut Section<'_>) -> Option<ServerTls> {
    let is_there = component.has("tls");
    let mut section = component.section("tls");
    let own = own(&mut section);
    if is_there && own.is_none() {
        section.fault("cert_file and key_file must be there: a server shows a certificate");
    }
    let client_ca = section.setting("client_ca_file").map(Pem::File);
    let versions = versions(&mut section);
    let reload_interval = section.duration("reload_interval", RELOAD_INTERVAL);
    let path = section.path().to_owned();
    Some(ServerTls { path, own: own?, client_ca, versions, reload_interval })
}

fn own(section: &mut Section<'_>) -> Option<(Pem, Pem)> {
    let certificate = pem(section, "cert_file", "cert_pem");
    let key = pem(section, "key_file", "key_pem");
    if certificate.is_some() != key.is_some() {
        section.fault(
            "a certificate (cert_file) and its key (key_file) go together, and one is missing",
        );
    }
    certificate.zip(key)
}

fn versions(section: &mut Section<'_>) -> (TlsVersion, TlsVersion) {
    let min = section.choice("min_version", VERSIONS, TlsVersion::V1_2);
    let max = section.choice("max_version", VERSIONS, TlsVersion::V1_3);
    if min > max {
        section.fault("min_version is newer than max_version");
    }
    (min, max)
}

fn pem(section: &mut Section<'_>, file: &'static str, text: &'static str) -> Option<Pem> {
    let (in_file, in_text) = (section.setting(file), section.setting(text));
    if in_file.is_some() && in_text.is_some() {
        section.fault(format!("{file} and {text} stand for the same: take one away"));
    }
    in_file.map(Pem::File).or(in_text.map(Pem::Text))
}

impl ClientTls {
    /// What holds where nothing is said, at `path`.
    fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ca: None,
            with_system_ca: false,
            own: None,
            server_name: None,
            versions: (TlsVersion::V1_2, TlsVersion::V1_3),
            reload_interval: RELOAD_INTERVAL,
        }
    }
}

impl Pem {
    /// The keys and the place that name it.
    pub fn from(&self) -> &str {
        let (Self::File(Setting { from, .. }) | Self::Text(Setting { from, .. })) = self;
        from
    }
}

// A text may be a key.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(setting) => f.debug_tuple("File").field(setting).finish(),
            Self::Text(setting) => f.debug_tuple("Text").field(&setting.from).finish(),
        }
    }
}

/// As it is called in messages.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(Setting { text: path, from }) => write!(f, "{path} of {from}"),
            Self::Text(Setting { from, .. }) => f.write_str(from),
        }
    }
}

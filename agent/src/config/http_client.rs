//! What exporters over HTTP have in common: where they send, and how.

use std::time::Duration;

use super::auth::{self, Authenticator};
use super::section::Section;
use super::tls::{self, ClientTls};

/// How requests are made.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpClient {
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// How long an answer may take, from the first attempt to connect.
    pub timeout: Duration,
    /// How connections are secured, if they are.
    pub tls: Option<ClientTls>,
    /// What is shown to be let in.
    pub auth: Option<Authenticator>,
}

// Headers carry tokens.
impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("HttpClient")
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// Reads the keys; `urls` are where the exporter sends, which must be all over TLS or none of them.
pub(super) fn http_client(
    section: &mut Section<'_>,
    urls: &[Option<&http::Uri>],
    timeout: Duration,
) -> HttpClient {
    let is_https = |url: &&http::Uri| url.scheme_str() == Some("https");
    let urls: Vec<_> = urls.iter().flatten().copied().collect();
    let secured = urls.iter().filter(|url| is_https(url)).count();
    if (1..urls.len()).contains(&secured) {
        section.fault("some endpoints begin with https:// and some with http://: give the one kind an exporter of its own");
    }
    HttpClient {
        headers: headers(section),
        timeout: section.duration("timeout", timeout),
        tls: tls::http_client(section, secured > 0),
        auth: auth::of_client(section),
    }
}

/// The headers of every request.
pub(super) fn headers(section: &mut Section<'_>) -> Vec<(String, String)> {
    let headers = section.text_map("headers");
    for (name, value) in &headers {
        let is_valid =
            http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok();
        if !is_valid {
            section.fault(format!("the header {name:?} in headers, or its value, cannot be sent"));
        }
    }
    headers
}

/// The URL below `key`.
pub(super) fn http_url(
    section: &mut Section<'_>,
    key: &'static str,
    is_required: bool,
) -> Option<http::Uri> {
    const EXPECTED: &str = "a URL such as http://loki:3100/loki/api/v1/push, without a user in it";
    if is_required {
        section.required(key, EXPECTED)?;
    }
    section.parsed(key, EXPECTED, |text, _| {
        let url: http::Uri = text.parse().ok()?;
        let has_scheme = matches!(url.scheme_str(), Some("http" | "https"));
        let authority = url.authority()?.as_str();
        (has_scheme && !authority.contains('@') && !url.host()?.is_empty()).then_some(url)
    })
}

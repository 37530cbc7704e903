//! OpenTelemetry's stable semantic conventions for HTTP, as far as the two layers use them.
//!
//! What a stranger sends is cut to [`MAX_VALUE_BYTES`], and the values of a query, where secrets
//! travel, are never recorded.

use http::{Uri, Version};

use crate::cut::cut;
use crate::span::{self, Text, unbracketed};

pub(super) const ERROR_TYPE: &str = "error.type";
pub(super) const HTTP_REQUEST_HEADER: &str = "http.request.header.";
pub(super) const HTTP_RESPONSE_HEADER: &str = "http.response.header.";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";

/// What a value may weigh that comes from the other side of the socket.
pub(super) const MAX_VALUE_BYTES: usize = 1024;

pub(super) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// The scheme of a request that was received. HTTP/1 does not carry it; `X-Forwarded-Proto` is
/// anyone's word, and not taken.
pub(super) fn scheme(uri: &Uri) -> &'static str {
    if uri.scheme() == Some(&http::uri::Scheme::HTTPS) { "https" } else { "http" }
}

/// Keeps a query's keys and replaces each value: `page=2&token=x` becomes
/// `page=REDACTED&token=REDACTED`.
pub(super) fn redacted_query(query: &str) -> String {
    let mut redacted = String::new();
    for (index, pair) in query.split('&').enumerate() {
        if redacted.len() > MAX_VALUE_BYTES {
            break;
        }
        if index > 0 {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) => {
                redacted.push_str(cut(key, MAX_VALUE_BYTES));
                redacted.push_str("=REDACTED");
            }
            None => redacted.push_str(cut(pair, MAX_VALUE_BYTES)),
        }
    }
    bounded(&redacted).to_owned()
}

/// Where a request is sent to, without what must not be recorded of it.
pub(super) struct Target<'a> {
    pub(super) scheme: &'a str,
    /// As the URL writes it: an IPv6 address in brackets.
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) has_userinfo: bool,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl Target<'_> {
    pub(super) fn describe(&self, said: &mut span::Request) {
        said.say(Text::Full, &self.full());
        said.say(Text::ServerAddress, self.address());
        said.server_port = self.port();
    }

    /// `server.address`
    pub(super) fn address(&self) -> &str {
        bounded(unbracketed(self.host))
    }

    /// `server.port`
    pub(super) fn port(&self) -> Option<u16> {
        let default_port = match self.scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        self.port.or(default_port)
    }

    fn full(&self) -> String {
        let userinfo = if self.has_userinfo { "REDACTED:REDACTED@" } else { "" };
        let mut full = format!("{}://{userinfo}{}", self.scheme, self.host);
        if let Some(port) = self.port {
            full.push_str(&format!(":{port}"));
        }
        full.push_str(cut(self.path, MAX_VALUE_BYTES));
        if let Some(query) = self.query {
            full.push('?');
            full.push_str(&redacted_query(query));
        }
        bounded(&full).to_owned()
    }
}

/// At most [`MAX_VALUE_BYTES`] of a text.
pub(super) fn bounded(value: &str) -> &str {
    cut(value, MAX_VALUE_BYTES)
}

/// At most [`MAX_VALUE_BYTES`] of what may be a text.
pub(super) fn bounded_bytes(value: &[u8]) -> &[u8] {
    let mut end = value.len().min(MAX_VALUE_BYTES);
    // Not in the middle of a character, if it is one.
    while end > MAX_VALUE_BYTES - 4 && value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_keeps_its_keys_and_loses_its_values() {
        for (query, expected) in [
            ("", ""),
            ("a=1", "a=REDACTED"),
            ("a=1&b=2=3", "a=REDACTED&b=REDACTED"),
            ("a=&debug&c=x", "a=REDACTED&debug&c=REDACTED"),
            ("=secret", "=REDACTED"),
            ("&&a=1", "&&a=REDACTED"),
        ] {
            assert_eq!(redacted_query(query), expected, "of {query:?}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(bounded(&"ä".repeat(4000)).len(), MAX_VALUE_BYTES);
        assert_eq!(bounded(&format!("x{}", "ä".repeat(4000))).len(), MAX_VALUE_BYTES - 1);
        assert_eq!(redacted_query(&"k=v&".repeat(100_000)).len(), MAX_VALUE_BYTES);
    }

    #[test]
    fn a_full_url_shows_no_user_and_no_value() {
        let target = Target {
            scheme: "https",
            host: "[::1]",
            port: Some(8443),
            has_userinfo: true,
            path: "/cart",
            query: Some("token=x"),
        };
        assert_eq!(target.full(), "https://REDACTED:REDACTED@[::1]:8443/cart?token=REDACTED");
    }
}

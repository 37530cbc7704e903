//! How a signal is sent by OTLP.

#[cfg(feature = "tls")]
mod secured;

use std::str::FromStr;
use std::time::Duration;

use super::Overrides;
use crate::endpoint::{self, Endpoint, OtlpProtocol};
use crate::error::Fault;
use crate::otlp_signal::Signal;
use crate::vars::{Reader, TimeLimit};

/// For one try. The specification's default is 10 s, longer than a pod has to shut down in comfort.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);

/// The way of one signal to its receiver.
#[derive(Debug, Clone)]
pub(crate) struct OtlpConfig {
    pub(crate) signal: Signal,
    pub(crate) protocol: OtlpProtocol,
    pub(crate) endpoint: Endpoint,
    /// Their values are secrets, and do not print.
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub(crate) gzip: bool,
    /// For one try.
    pub(crate) timeout: Duration,
    /// Where the endpoint is https.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::ClientSide>,
}

impl OtlpConfig {
    /// Reads the signal's variables. `own_timeout` is what else was said about the time that a try may
    /// take: the shorter one ends it.
    pub(crate) fn read(
        signal: Signal,
        own_timeout: Option<Duration>,
        overrides: &Overrides,
        reader: &mut Reader<'_>,
    ) -> Self {
        let variables = signal.variables();
        let protocol = overrides
            .otlp_protocol
            .or_else(|| reader.parse_first(variables.protocol, "http/protobuf, grpc"))
            .unwrap_or_default();
        let endpoint =
            endpoint::resolve(signal, protocol, overrides.otlp_endpoint.as_deref(), reader);
        let gzip = reader
            .parse_first(variables.compression, "gzip, none")
            .is_some_and(|Gzip(is_wanted)| is_wanted);
        let timeout = reader
            .parse_first(variables.timeout, TimeLimit::ACCEPTED)
            .map(|TimeLimit(timeout)| timeout);
        let timeout = timeout.into_iter().chain(own_timeout).min();
        #[cfg(feature = "tls")]
        let tls = secured::read(variables, &endpoint, reader);
        Self {
            signal,
            protocol,
            endpoint,
            #[cfg(feature = "tls")]
            tls,
            headers: read_headers(variables.headers, reader),
            gzip,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        }
    }
}

fn read_headers(
    settings: [&'static str; 2],
    reader: &mut Reader<'_>,
) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let Some((setting, text)) = reader.text_first(settings) else { return Vec::new() };
    let mut headers = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        match header(pair) {
            Some(header) => headers.push(header),
            None => {
                let accepted = "name=value,name=value, percent-encoded where needed";
                // A header is often a secret: it is not repeated.
                reader.fault(Fault::new(setting, "***", accepted).instead("it is not sent"));
            }
        }
    }
    headers
}

fn header(pair: &str) -> Option<(http::HeaderName, http::HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = http::HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// `gzip` or `none`.
struct Gzip(bool);

impl FromStr for Gzip {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "gzip" => Ok(Self(true)),
            "none" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

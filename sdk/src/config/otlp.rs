//! How a signal is sent by OTLP.

#[cfg(feature = "tls")]
mod secured;

use std::str::FromStr;
use std::time::Duration;

use super::{Overrides, Secret};
use crate::endpoint::{self, Endpoint, OtlpProtocol};
use crate::error::Fault;
use crate::otlp_signal::Signal;
use crate::vars::{LONGEST, Reader, TimeLimit, words};

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
        let gzip = reader.parse_first(variables.compression, "gzip, none");
        let gzip = overrides.otlp_gzip.or(gzip.map(|Gzip(is_wanted)| is_wanted));
        let timeout = reader
            .parse_first(variables.timeout, TimeLimit::ACCEPTED)
            .map(|TimeLimit(timeout)| timeout);
        let timeout = timeout.into_iter().chain(own_timeout).min();
        let timeout = overrides.otlp_timeout.map(|timeout| timeout.min(LONGEST)).or(timeout);
        #[cfg(feature = "tls")]
        let tls = secured::read(variables, &endpoint, reader);
        Self {
            signal,
            protocol,
            endpoint,
            #[cfg(feature = "tls")]
            tls,
            headers: read_headers(variables.headers, &overrides.otlp_headers, reader),
            gzip: gzip.unwrap_or(false),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        }
    }
}

/// Those of the builder win over those of the environment, name by name.
fn read_headers(
    settings: [&'static str; 2],
    from_builder: &[(String, Secret)],
    reader: &mut Reader<'_>,
) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let mut headers = http::HeaderMap::new();
    let (setting, text) = reader.text_first(settings).unwrap_or_default();
    for pair in words(&text) {
        match decoded(pair) {
            Some((name, value)) => drop(headers.insert(name, value)),
            None => {
                let accepted = "name=value,name=value, percent-encoded where needed";
                // A header is often a secret: it is not repeated.
                reader.fault(Fault::new(setting, "***", accepted).instead("it is not sent"));
            }
        }
    }
    for (name, Secret(value)) in from_builder {
        match header(name, value) {
            Some((name, value)) => drop(headers.insert(name, value)),
            None => {
                let accepted = "a name and a value that HTTP allows";
                let fault = Fault::new("Builder::otlp_header", format!("{name}: ***"), accepted);
                reader.fault(fault.instead("it is not sent"));
            }
        }
    }
    headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn decoded(pair: &str) -> Option<(http::HeaderName, http::HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
    header(name.trim(), &value)
}

fn header(name: &str, value: &str) -> Option<(http::HeaderName, http::HeaderValue)> {
    let mut value = http::HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
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

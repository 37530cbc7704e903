//! Where telemetry goes: from the builder's calls and the environment to one address. Pure.
//!
//! builder > the signal's own endpoint (`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) >
//! `OTEL_EXPORTER_OTLP_ENDPOINT` > `NODE_IP` > `OTEL_NODE_IP` > `HOST_IP` > `localhost`. An IP stands for
//! the agent of the node: in Kubernetes it comes from the downward API (`status.hostIP`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

use crate::error::Fault;
use crate::otlp_signal::Signal;
use crate::vars::Reader;

const NODE_IPS: [&str; 3] = ["NODE_IP", "OTEL_NODE_IP", "HOST_IP"];

/// In place of a signal's path: an address to which nothing is added.
const AS_IT_IS: &str = "";

const HTTP_PORT: u16 = 4318;
const GRPC_PORT: u16 = 4317;

/// The protocol in which telemetry is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// OTLP over HTTP, as protobuf (`http/protobuf`).
    #[default]
    HttpProtobuf,
    /// OTLP over gRPC (`grpc`).
    Grpc,
}

impl FromStr for OtlpProtocol {
    type Err = &'static str;

    /// Reads the specification's names; case does not matter.
    ///
    /// # Errors
    /// Any other text, `http/json` among them; the error says what is accepted.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "grpc" => Ok(Self::Grpc),
            _ => Err("http/protobuf, grpc"),
        }
    }
}

/// Where telemetry goes, and which setting said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// For HTTP with the path to post to; for gRPC without one.
    pub(crate) uri: Uri,
    /// The setting that decided.
    pub(crate) because_of: &'static str,
}

impl fmt::Display for Endpoint {
    /// The address without what may be secret in its query, and the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", without_secret(&self.uri.to_string()), self.because_of)
    }
}

/// Finds the endpoint of a signal. Every fault is noted with the reader; the next source in the order
/// then decides.
pub(crate) fn resolve(
    signal: Signal,
    protocol: OtlpProtocol,
    from_builder: Option<&str>,
    reader: &mut Reader<'_>,
) -> Endpoint {
    // The specification takes the signal's own endpoint as it is, and appends the signal's path to the
    // general one; a builder's endpoint is meant as the general one is.
    let is_insecure = signal.variables().insecure.into_iter().find_map(|name| reader.boolean(name));
    // By the specification, what has no scheme is secure unless it is said not to be.
    let bare_scheme = if is_insecure == Some(true) { "http" } else { "https" };
    let [own, general] = signal.variables().endpoint;
    let given = [
        ("Builder::otlp_endpoint", from_builder.map(str::to_owned), signal.path()),
        (own, reader.text(own), AS_IT_IS),
        (general, reader.text(general), signal.path()),
    ];
    for (setting, value, path) in given {
        let Some(value) = value else { continue };
        match of_url(&value, protocol, bare_scheme, path) {
            Ok(uri) => return Endpoint { uri, because_of: setting },
            Err(accepted) => reader.fault(Fault::new(setting, without_secret(&value), accepted)),
        }
    }
    for setting in NODE_IPS {
        let Some(value) = reader.text(setting) else { continue };
        match of_node(&value, signal, protocol) {
            Ok(uri) => return Endpoint { uri, because_of: setting },
            Err(accepted) => reader.fault(Fault::new(setting, without_secret(&value), accepted)),
        }
    }
    Endpoint { uri: on_host("localhost", signal, protocol), because_of: "the default" }
}

fn of_url(
    value: &str,
    protocol: OtlpProtocol,
    bare_scheme: &str,
    path: &str,
) -> Result<Uri, String> {
    const ACCEPTED: &str = "a URL such as http://127.0.0.1:4318";
    if let Some(hint) = unexpanded(value) {
        return Err(hint);
    }
    let with_scheme = match protocol {
        // Some write a gRPC endpoint as host:port.
        OtlpProtocol::Grpc if !value.contains("://") => format!("{bare_scheme}://{value}"),
        _ => value.to_owned(),
    };
    let uri: Uri = with_scheme.parse().map_err(|_| ACCEPTED)?;
    let scheme = match uri.scheme_str() {
        Some("http") => "http",
        Some("https") if cfg!(feature = "tls") => "https",
        Some("https") => {
            return Err("a URL with http://: spanline was built without its feature `tls`".into());
        }
        _ => return Err(ACCEPTED.into()),
    };
    let authority = uri.authority().ok_or(ACCEPTED)?.as_str();
    if authority.contains('@') {
        return Err(
            "a URL without user and password; these go into OTEL_EXPORTER_OTLP_HEADERS, as \
                    authorization=Basic%20…"
                .into(),
        );
    }
    let path = match protocol {
        OtlpProtocol::Grpc => String::new(),
        OtlpProtocol::HttpProtobuf => {
            let before = match path {
                AS_IT_IS => uri.path(),
                _ => uri.path().trim_end_matches('/'),
            };
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            format!("{before}{path}{query}")
        }
    };
    format!("{scheme}://{authority}{path}").parse().map_err(|_| ACCEPTED.into())
}

fn of_node(value: &str, signal: Signal, protocol: OtlpProtocol) -> Result<Uri, String> {
    if let Some(hint) = unexpanded(value) {
        return Err(hint);
    }
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Ok(on_host(&ip.to_string(), signal, protocol)),
        Ok(IpAddr::V6(ip)) => Ok(on_host(&format!("[{ip}]"), signal, protocol)),
        // A host's name serves as well.
        Err(_) => format!("http://{bare}:{}", port(protocol))
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.host() == Some(bare))
            .map(|_| on_host(bare, signal, protocol))
            .ok_or_else(|| "the IP address of the node, without scheme and port".into()),
    }
}

/// A URL without the password that somebody wrote into it, be it as a user's or in the query.
fn without_secret(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?***"));
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").map_or(0, |at| at + 3);
            format!("{}***@{host}{query}", &before[..scheme])
        }
        None => format!("{url}{query}"),
    }
}

/// Kubernetes leaves `$(NODE_IP)` as it is when no variable of that name stands above it.
fn unexpanded(value: &str) -> Option<String> {
    let start = value.find("$(")?;
    let end = value[start..].find(')').map_or(value.len(), |length| start + length + 1);
    let reference = &value[start..end];
    Some(format!(
        "a value in which {reference} is expanded: Kubernetes expands only variables that are declared \
         before this one in the container's env"
    ))
}

fn on_host(host: &str, signal: Signal, protocol: OtlpProtocol) -> Uri {
    let path = match protocol {
        OtlpProtocol::HttpProtobuf => signal.path(),
        OtlpProtocol::Grpc => "",
    };
    // The host was checked; should it be none all the same, what is sent there is refused and counted.
    format!("http://{host}:{}{path}", port(protocol)).parse().unwrap_or_default()
}

fn port(protocol: OtlpProtocol) -> u16 {
    match protocol {
        OtlpProtocol::HttpProtobuf => HTTP_PORT,
        OtlpProtocol::Grpc => GRPC_PORT,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

    fn resolved(
        protocol: OtlpProtocol,
        builder: Option<&str>,
        vars: &[(&'static str, &'static str)],
    ) -> (String, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let endpoint = resolve(Signal::Traces, protocol, builder, &mut reader);
        (endpoint.uri.to_string(), reader.into_faults())
    }

    #[test]
    fn the_first_of_the_order_decides() {
        use OtlpProtocol::{Grpc, HttpProtobuf as Http};
        let all = [
            (TRACES_ENDPOINT, "http://traces:1/in"),
            (ENDPOINT, "http://all:2"),
            ("NODE_IP", "10.0.0.3"),
            ("OTEL_NODE_IP", "10.0.0.4"),
            ("HOST_IP", "10.0.0.5"),
        ];
        let cases = [
            (Http, Some("http://b:9"), 0, "http://b:9/v1/traces"),
            (Http, None, 0, "http://traces:1/in"),
            (Http, None, 1, "http://all:2/v1/traces"),
            (Grpc, None, 1, "http://all:2/"),
            (Http, None, 2, "http://10.0.0.3:4318/v1/traces"),
            (Grpc, None, 2, "http://10.0.0.3:4317/"),
            (Http, None, 3, "http://10.0.0.4:4318/v1/traces"),
            (Grpc, None, 4, "http://10.0.0.5:4317/"),
            (Http, None, 5, "http://localhost:4318/v1/traces"),
            (Grpc, None, 5, "http://localhost:4317/"),
        ];
        for (protocol, builder, from, expected) in cases {
            let (uri, faults) = resolved(protocol, builder, &all[from..]);
            assert_eq!(
                (uri.as_str(), faults.as_slice()),
                (expected, &[][..]),
                "{protocol:?} {from}"
            );
        }
    }

    #[test]
    fn an_endpoint_of_the_signal_is_used_as_it_is() {
        for url in [
            "http://agent:4318/in/",
            "http://agent:4318/in?tenant=a&token=hunter2",
            "http://agent:4318/",
            "http://agent:4318//in//v1/traces/?",
        ] {
            let (uri, faults) =
                resolved(OtlpProtocol::HttpProtobuf, None, &[(TRACES_ENDPOINT, url)]);
            assert_eq!((uri.as_str(), faults.as_slice()), (url, &[][..]));
        }
        let general = [(ENDPOINT, "http://agent:4318/in/?token=hunter2")];
        let (uri, _) = resolved(OtlpProtocol::HttpProtobuf, None, &general);
        assert_eq!(uri, "http://agent:4318/in/v1/traces?token=hunter2");
        let endpoint = Endpoint { uri: uri.parse().unwrap(), because_of: ENDPOINT };
        assert_eq!(
            endpoint.to_string(),
            "http://agent:4318/in/v1/traces?*** (OTEL_EXPORTER_OTLP_ENDPOINT)"
        );
    }

    #[test]
    fn metrics_have_a_path_and_an_endpoint_of_their_own() {
        let own =
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://prometheus/api/v1/otlp/v1/metrics");
        let all = [own, (TRACES_ENDPOINT, "http://traces:1"), (ENDPOINT, "http://all:2")];
        let cases = [
            (OtlpProtocol::HttpProtobuf, 0, own.1),
            (OtlpProtocol::HttpProtobuf, 1, "http://all:2/v1/metrics"),
            (OtlpProtocol::HttpProtobuf, 3, "http://localhost:4318/v1/metrics"),
            (OtlpProtocol::Grpc, 3, "http://localhost:4317/"),
        ];
        for (protocol, from, expected) in cases {
            let vars: HashMap<_, _> = all[from..].iter().copied().collect();
            let mut reader = Reader::new(&vars);
            let endpoint = resolve(Signal::Metrics, protocol, None, &mut reader);
            assert_eq!(endpoint.uri.to_string(), expected);
            assert_eq!(reader.into_faults(), []);
        }
    }

    #[test]
    fn spellings_of_an_address() {
        use OtlpProtocol::{Grpc, HttpProtobuf as Http};
        let cases = [
            (Http, "NODE_IP", "fd00::1", "http://[fd00::1]:4318/v1/traces"),
            (Grpc, "NODE_IP", "[fd00::1]", "http://[fd00::1]:4317/"),
            (Http, "HOST_IP", "node-7.example", "http://node-7.example:4318/v1/traces"),
            (Http, ENDPOINT, "http://agent:4318/", "http://agent:4318/v1/traces"),
            (Http, ENDPOINT, "http://agent:80/otlp", "http://agent:80/otlp/v1/traces"),
            (Grpc, ENDPOINT, "http://agent:4317", "http://agent:4317/"),
            #[cfg(feature = "tls")]
            (Grpc, ENDPOINT, "agent:4317", "https://agent:4317/"),
            #[cfg(feature = "tls")]
            (Http, ENDPOINT, "https://10.0.0.3:4318", "https://10.0.0.3:4318/v1/traces"),
        ];
        for (protocol, setting, value, expected) in cases {
            let (uri, faults) = resolved(protocol, None, &[(setting, value)]);
            assert_eq!((uri.as_str(), faults.as_slice()), (expected, &[][..]), "{value}");
        }
    }

    #[test]
    fn a_grpc_endpoint_without_a_scheme_may_be_said_to_be_insecure() {
        let vars = [(ENDPOINT, "agent:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE")];
        let (uri, faults) = resolved(OtlpProtocol::Grpc, None, &vars);
        assert_eq!((uri.as_str(), faults.as_slice()), ("http://agent:4317/", &[][..]));
    }

    #[test]
    fn what_cannot_be_used_is_named_and_the_next_source_decides() {
        let vars = [(ENDPOINT, "http://$(NODE_IP):4318"), ("NODE_IP", "10.0.0.3")];
        let (uri, faults) = resolved(OtlpProtocol::HttpProtobuf, None, &vars);
        assert_eq!(uri, "http://10.0.0.3:4318/v1/traces");
        assert_eq!(faults.len(), 1);
        let told = faults[0].to_string();
        assert!(told.contains(ENDPOINT) && told.contains("$(NODE_IP) is expanded"), "{told}");

        for (setting, value) in
            [("NODE_IP", "$(HOST)"), ("NODE_IP", "http://10.0.0.3"), (ENDPOINT, "ftp://agent")]
        {
            let (uri, faults) = resolved(OtlpProtocol::HttpProtobuf, None, &[(setting, value)]);
            assert_eq!(uri, "http://localhost:4318/v1/traces", "{value}");
            assert_eq!(faults.len(), 1, "{value}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let urls =
            ["http://ada:hunter2@agent:4318", "ftp://ada:hunter2@agent", "ftp://agent?key=hunter2"];
        for (setting, url) in
            urls.map(|url| (ENDPOINT, url)).into_iter().chain([("NODE_IP", urls[0])])
        {
            let (uri, faults) = resolved(OtlpProtocol::HttpProtobuf, None, &[(setting, url)]);
            let told = faults[0].to_string();
            assert!(faults.len() == 1 && !told.contains("hunter2"), "{told}");
            assert!(!uri.contains("hunter2"), "{uri}");
        }
    }
}

//! The settings of metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use super::Overrides;
use crate::vars::Reader;

const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
/// A pod must be scraped from outside; the specification's default is localhost.
const DEFAULT_HOST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const DEFAULT_PORT: u16 = 9464;

/// How metrics leave the process, and how they are named and labelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricsConfig {
    /// Where a scraper finds them; `None` when it does not.
    pub(crate) listen: Option<SocketAddr>,
    /// Which observations become exemplars.
    pub(crate) exemplars: ExemplarFilter,
    /// Before the names that the service gives.
    pub(crate) prefix: String,
    /// On every series.
    pub(crate) labels: Vec<(String, String)>,
}

/// Which observations become exemplars (`OTEL_METRICS_EXEMPLAR_FILTER`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExemplarFilter {
    /// Those made inside a span, sampled or not.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Those made inside a sampled span.
    #[default]
    TraceBased,
}

/// The ways out that are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ways {
    prometheus: bool,
}

impl MetricsConfig {
    /// Reads the variables; what is wrong is in the reader's faults.
    pub(crate) fn read(is_disabled: bool, overrides: &Overrides, reader: &mut Reader<'_>) -> Self {
        let ways = reader
            .parse(EXPORTER, "a list of prometheus, none")
            .unwrap_or(Ways { prometheus: true });
        let host =
            reader.parse::<Host>("OTEL_EXPORTER_PROMETHEUS_HOST", "an IP address, localhost");
        let port = reader.parse("OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 for any that is free");
        let host = host.map_or(DEFAULT_HOST, |Host(host)| host);
        let address = SocketAddr::new(host, port.unwrap_or(DEFAULT_PORT));
        let address = overrides.metrics_address.unwrap_or(address);
        let exemplars = reader
            .parse("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based, always_on, always_off")
            .unwrap_or_default();
        Self {
            listen: (ways.prometheus && !is_disabled).then_some(address),
            exemplars,
            prefix: overrides.metric_prefix.clone(),
            labels: overrides.metric_labels.clone(),
        }
    }
}

impl FromStr for Ways {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut ways = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "prometheus" => ways.prometheus = true,
                "none" => {}
                _ => return Err(()),
            }
        }
        Ok(ways)
    }
}

/// An address to listen on.
struct Host(IpAddr);

impl FromStr for Host {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Self(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map(Self).map_err(|_| ())
    }
}

impl FromStr for ExemplarFilter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "trace_based" => Ok(Self::TraceBased),
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::error::Fault;

    fn read(vars: &[(&'static str, &'static str)]) -> (MetricsConfig, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let config = MetricsConfig::read(false, &Overrides::default(), &mut reader);
        (config, reader.into_faults())
    }

    #[test]
    fn metrics_are_served_to_every_address_unless_a_variable_says_otherwise() {
        let listen = |vars: &[(&'static str, &'static str)]| {
            let (config, faults) = read(vars);
            assert_eq!(faults, []);
            config.listen.map(|address| address.to_string())
        };
        let host = "OTEL_EXPORTER_PROMETHEUS_HOST";
        assert_eq!(listen(&[]).as_deref(), Some("0.0.0.0:9464"));
        assert_eq!(listen(&[(host, "localhost")]).as_deref(), Some("127.0.0.1:9464"));
        let given = [(host, "[::1]"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "0")];
        assert_eq!(listen(&given).as_deref(), Some("[::1]:0"));
        assert_eq!(listen(&[("OTEL_METRICS_EXPORTER", "none")]), None);
        let listed = [("OTEL_METRICS_EXPORTER", " prometheus ,none")];
        assert!(listen(&listed).is_some());
    }

    #[test]
    fn every_wrong_setting_is_named_and_left_at_its_default() {
        let wrong = [
            ("OTEL_METRICS_EXPORTER", "prometheus,statsd"),
            ("OTEL_EXPORTER_PROMETHEUS_HOST", "here"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000"),
            ("OTEL_METRICS_EXEMPLAR_FILTER", "some"),
        ];
        let (config, faults) = read(&wrong);
        let named: Vec<_> = faults.iter().map(|fault| fault.setting).collect();
        assert_eq!(named, wrong.map(|(name, _)| name));
        assert_eq!(config.listen, read(&[]).0.listen);
        assert_eq!(config.exemplars, ExemplarFilter::TraceBased);
    }

    #[test]
    fn with_the_sdk_disabled_nothing_is_served() {
        let vars: HashMap<&'static str, &'static str> = HashMap::new();
        let mut reader = Reader::new(&vars);
        assert!(MetricsConfig::read(true, &Overrides::default(), &mut reader).listen.is_none());
    }
}

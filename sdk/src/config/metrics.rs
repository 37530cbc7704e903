//! The settings of metrics.

mod secured;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

pub(crate) use self::secured::ScrapeSecurity;
use super::{OtlpConfig, Overrides};
use crate::otlp_signal::Signal;
use crate::vars::{LONGEST, Reader, TimeLimit, words};

const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
/// A pod must be scraped from outside; the specification's default is localhost.
const DEFAULT_HOST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const DEFAULT_PORT: u16 = 9464;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How metrics leave the process, and how they are named and labelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricsConfig {
    /// Where a scraper finds them; `None` when it does not.
    pub(crate) listen: Option<SocketAddr>,
    /// What a scraper is shown there, and must show.
    pub(crate) security: ScrapeSecurity,
    /// Where they are pushed; `None` when they are not.
    pub(crate) push: Option<PushConfig>,
    /// How often they are written to stdout; `None` when they are not.
    pub(crate) console: Option<Duration>,
    /// Which observations become exemplars.
    pub(crate) exemplars: ExemplarFilter,
    /// Before the names that the service gives.
    pub(crate) prefix: String,
    /// On every series.
    pub(crate) labels: Vec<(String, String)>,
}

/// How metrics are pushed by OTLP.
#[derive(Debug, Clone)]
pub(crate) struct PushConfig {
    pub(crate) otlp: OtlpConfig,
    /// From one push to the next.
    pub(crate) interval: Duration,
    /// For one push with all its tries.
    pub(crate) timeout: Duration,
    pub(crate) temporality: Temporality,
}

/// Over what time sums are told (`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// Since the start of each series, as Prometheus wants them.
    #[default]
    Cumulative,
    /// Since the push before. Sums that may shrink stay cumulative, as the specification has it.
    Delta,
    /// As `Delta`, but what is observed by a callback stays cumulative too.
    LowMemory,
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
    otlp: bool,
    console: bool,
}

impl MetricsConfig {
    /// Reads the variables; what is wrong is in the reader's faults.
    pub(crate) fn read(is_disabled: bool, overrides: &Overrides, reader: &mut Reader<'_>) -> Self {
        let ways = reader
            .parse(EXPORTER, "a list of prometheus, otlp, console, none")
            .unwrap_or(Ways { prometheus: true, ..Ways::default() });
        let host =
            reader.parse::<Host>("OTEL_EXPORTER_PROMETHEUS_HOST", "an IP address, localhost");
        let port = reader.parse("OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 for any that is free");
        let host = host.map_or(DEFAULT_HOST, |Host(host)| host);
        let address = SocketAddr::new(host, port.unwrap_or(DEFAULT_PORT));
        let address = overrides.metrics_address.unwrap_or(address);
        let security = secured::read(reader);
        let exemplars = reader
            .parse("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based, always_on, always_off")
            .unwrap_or_default();
        let interval = reader
            .parse("OTEL_METRIC_EXPORT_INTERVAL", "milliseconds, from 1 to 3600000")
            .map_or(DEFAULT_INTERVAL, |Interval(interval)| interval);
        let interval = overrides.metrics_push_interval.unwrap_or(interval);
        let timeout = reader.parse("OTEL_METRIC_EXPORT_TIMEOUT", TimeLimit::ACCEPTED);
        let timeout = timeout.map(|TimeLimit(timeout)| timeout);
        let temporality = reader
            .parse(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "cumulative, delta, lowmemory",
            )
            .unwrap_or_default();
        // The other variables of OTLP are read, and found faulty, only where they are used.
        let pushes = ways.otlp || overrides.metrics_push_interval.is_some();
        let push = (pushes && !is_disabled).then(|| PushConfig {
            otlp: OtlpConfig::read(Signal::Metrics, timeout, overrides, reader),
            interval,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            temporality,
        });
        Self {
            push,
            console: (ways.console && !is_disabled).then_some(interval),
            listen: (ways.prometheus && !is_disabled && security.is_some()).then_some(address),
            security: security.unwrap_or_default(),
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
        for name in words(text) {
            match name.to_ascii_lowercase().as_str() {
                "prometheus" => ways.prometheus = true,
                "otlp" => ways.otlp = true,
                "console" => ways.console = true,
                "none" => {}
                _ => return Err(()),
            }
        }
        Ok(ways)
    }
}

/// The time from one push to the next: not none, and not so long that nobody would see it come.
struct Interval(Duration);

impl FromStr for Interval {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let interval = Duration::from_millis(text.parse().map_err(drop)?);
        if interval.is_zero() || interval > LONGEST { Err(()) } else { Ok(Self(interval)) }
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

impl FromStr for Temporality {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
            "cumulative" => Ok(Self::Cumulative),
            "delta" => Ok(Self::Delta),
            "lowmemory" => Ok(Self::LowMemory),
            _ => Err(()),
        }
    }
}

impl FromStr for ExemplarFilter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.to_ascii_lowercase().as_str() {
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
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_METRIC_EXPORT_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "gamma"),
        ];
        let (config, faults) = read(&wrong);
        let named: Vec<_> = faults.iter().map(|fault| fault.setting).collect();
        assert_eq!(named, wrong.map(|(name, _)| name));
        assert_eq!(config.listen, read(&[]).0.listen);
        assert_eq!(config.exemplars, ExemplarFilter::TraceBased);
    }

    #[test]
    fn an_endpoint_alone_pushes_nothing_and_the_exporter_s_name_does() {
        let endpoint =
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://prometheus/api/v1/otlp/v1/metrics");
        assert!(read(&[endpoint]).0.push.is_none());
        let (config, faults) = read(&[
            endpoint,
            ("OTEL_METRICS_EXPORTER", "otlp,prometheus,console"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        ]);
        assert_eq!(faults, []);
        let push = config.push.unwrap();
        assert_eq!(push.otlp.endpoint.uri.to_string(), endpoint.1);
        assert_eq!(
            (push.interval, push.temporality),
            (Duration::from_millis(500), Temporality::Delta)
        );
        assert!(config.listen.is_some() && config.console.is_some());
    }

    #[test]
    fn an_interval_is_neither_none_nor_longer_than_an_hour() {
        let name = "OTEL_METRIC_EXPORT_INTERVAL";
        for (value, accepted) in
            [("0", false), ("1", true), ("3600000", true), ("3600001", false), ("-1", false)]
        {
            assert_eq!(read(&[(name, value)]).1.is_empty(), accepted, "{value}");
        }
    }

    #[test]
    fn with_the_sdk_disabled_nothing_is_served() {
        let vars: HashMap<&'static str, &'static str> = HashMap::new();
        let mut reader = Reader::new(&vars);
        assert!(MetricsConfig::read(true, &Overrides::default(), &mut reader).listen.is_none());
    }
}

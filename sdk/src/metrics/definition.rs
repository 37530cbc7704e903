//! What a family is: its names, its help, its kind.

use super::name;

/// What the numbers of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows.
    Counter,
    /// A sum that may shrink.
    UpDownCounter,
    Gauge,
    Histogram,
    /// Labels that say something; the value is 1.
    Info,
    Unknown,
}

/// A family's names and help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    /// As Prometheus has it, without a counter's `_total` or an info's `_info`.
    pub(super) name: String,
    /// As OTLP has it.
    pub(super) otlp_name: String,
    /// In OpenTelemetry's notation.
    pub(super) otlp_unit: String,
    pub(super) help: String,
    pub(super) kind: Kind,
    /// Whether its sums are asked for with each snapshot, and not added up here.
    pub(super) is_observed: bool,
    /// The meter that it comes from, if it has one.
    pub(super) scope: Option<opentelemetry::InstrumentationScope>,
}

impl Definition {
    /// A family with a name of Prometheus's kind. A counter may be named with `_total` or without.
    pub(super) fn of_prometheus(name: &str, help: &str, kind: Kind) -> Self {
        let suffix = if kind == Kind::Counter { "_total" } else { "_info" };
        let has_suffix = matches!(kind, Kind::Counter | Kind::Info);
        let name = name.strip_suffix(suffix).filter(|_| has_suffix).unwrap_or(name);
        let otlp_name = if kind == Kind::Info { format!("{name}_info") } else { name.to_owned() };
        Self {
            otlp_name,
            otlp_unit: name::unit_of(name).to_owned(),
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            is_observed: false,
            scope: None,
        }
    }

    /// A family with a name and a unit of OpenTelemetry's kind.
    pub(super) fn of_instrument(name: &str, unit: &str, help: &str, kind: Kind) -> Self {
        let is_gauge = kind == Kind::Gauge;
        Self {
            name: name::of_instrument(name, unit, kind == Kind::Counter, is_gauge),
            otlp_name: name.to_owned(),
            otlp_unit: unit.to_owned(),
            help: help.to_owned(),
            kind,
            is_observed: false,
            scope: None,
        }
    }

    /// Every name that a sample of the family has or may have: no other family may use one of them.
    pub(super) fn sample_names(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
            Kind::Info => &["", "_info"],
            Kind::UpDownCounter | Kind::Gauge | Kind::Unknown => &[""],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}

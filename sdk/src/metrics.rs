//! The registry of a service's own metrics.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::registry::Metric;

/// Takes the metrics of a service and writes them as OpenMetrics text.
///
/// Unlike prometheus-client's own registry, it refuses what a scraper would choke on: names that are none,
/// names that are taken, help that spans lines.
///
/// ```
/// use prometheus_client::metrics::counter::Counter;
/// # let telemetry = spanline::init("checkout");
/// let orders = Counter::<u64>::default();
/// telemetry.registry().register("orders", "Orders taken", orders.clone())?;
/// orders.inc();
/// assert!(telemetry.registry().to_openmetrics().contains("orders_total 1"));
/// # Ok::<(), spanline::RegisterError>(())
/// ```
#[derive(Debug, Default)]
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    registry: prometheus_client::registry::Registry,
    names: HashSet<String>,
}

/// Why a metric was not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    InvalidName(String),
    /// Another metric has the name.
    DuplicateName(String),
    /// The help text of this metric holds a line break.
    HelpSpansLines(String),
}

impl Registry {
    /// Takes a metric under a name; the unit and a counter's `_total` are added when it is written.
    ///
    /// # Errors
    /// A name that is none or is taken, and help that spans lines; the error names the metric.
    pub fn register(
        &self,
        name: &str,
        help: &str,
        metric: impl Metric,
    ) -> Result<(), RegisterError> {
        if !is_metric_name(name) {
            return Err(RegisterError::InvalidName(name.to_owned()));
        }
        if help.contains(['\n', '\r']) {
            return Err(RegisterError::HelpSpansLines(name.to_owned()));
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if !inner.names.insert(name.to_owned()) {
            return Err(RegisterError::DuplicateName(name.to_owned()));
        }
        inner.registry.register(name, help, metric);
        Ok(())
    }

    /// Every metric as OpenMetrics 1.0 text.
    pub fn to_openmetrics(&self) -> String {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a string fails only if a metric's own encoding does; what was written stays.
        let _ = prometheus_client::encoding::text::encode(&mut text, &inner.registry);
        text
    }
}

fn is_metric_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => write!(
                f,
                "{name:?} is not a metric's name: letters, digits, _ and :, and no digit first"
            ),
            Self::DuplicateName(name) => write!(f, "a metric named {name:?} is registered already"),
            Self::HelpSpansLines(name) => write!(f, "the help of {name:?} has a line break"),
        }
    }
}

impl std::error::Error for RegisterError {}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn what_a_scraper_would_choke_on_is_refused_by_name() {
        let registry = Registry::default();
        let counter = Counter::<u64>::default;
        for name in ["", "9lives", "a-b", "naïve", "a\nb"] {
            let error = registry.register(name, "Help", counter()).unwrap_err();
            assert_eq!(error, RegisterError::InvalidName(name.to_owned()));
        }
        let error = registry.register("a", "one\ntwo", counter()).unwrap_err();
        assert_eq!(error, RegisterError::HelpSpansLines("a".to_owned()));
        registry.register("a", "Help", counter()).unwrap();
        let error = registry.register("a", "Help", counter()).unwrap_err();
        assert_eq!(error, RegisterError::DuplicateName("a".to_owned()));
        assert!(registry.to_openmetrics().ends_with("# EOF\n"));
    }
}

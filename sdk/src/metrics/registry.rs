//! The registry: it takes families, refuses what a scraper would choke on, and reads them all at once.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use opentelemetry::Key;
use opentelemetry_sdk::Resource;
use prometheus_client::registry::Metric;

use super::bounds::{Bounds, MAX_BOUNDS};
use super::counter::Counter;
use super::definition::{Definition, Kind};
use super::error::RegisterError;
use super::exemplar::unix_nanos;
use super::family::Family;
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::instrument::{Common, Instrument, InstrumentFamily, Source};
use super::labels::{DefaultLabels, LabelSet};
use super::own::{Own, Read};
use super::prometheus::PrometheusMetric;
use super::series::Losses;
use super::snapshot::Snapshot;
use super::{name, text};
use crate::config::MetricsConfig;

/// Takes the metrics of a service, and writes them for a scraper or for a push.
///
/// It takes three kinds side by side: its own instruments, which carry exemplars ([`counter`](Self::counter),
/// [`gauge`](Self::gauge), [`histogram`](Self::histogram), and families of them), metrics of the
/// `prometheus-client` crate ([`register`](Self::register)), and everything that libraries record with the
/// OpenTelemetry API, which finds it by itself.
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
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    common: Common,
    /// Before every name that the service itself gives.
    prefix: String,
    /// Every name that a sample has or may have.
    names: Mutex<HashSet<String>>,
    sources: RwLock<Vec<Arc<dyn Source>>>,
    target: Option<Arc<LabelSet>>,
}

impl Registry {
    pub(crate) fn new(config: &MetricsConfig, resource: &Resource) -> Self {
        let common = Common {
            filter: config.exemplars,
            defaults: DefaultLabels::new(&config.labels),
            losses: Arc::default(),
        };
        // A prefix that cannot be one was told as a fault.
        let prefix = Some(&config.prefix).filter(|prefix| name::is_metric_name(prefix));
        let prefix = prefix.cloned().unwrap_or_default();
        let target = Some(Arc::new(LabelSet::of_resource(resource)));
        let shared = Shared { common, prefix, target, ..Shared::default() };
        let registry = Self { shared: Arc::new(shared) };
        registry.take_names(&Definition::of_prometheus("target", "", Kind::Info));
        registry
    }

    /// A counter without labels. Its samples are called `<name>_total`, whether the name says so or not.
    ///
    /// # Errors
    /// A name that is none or is taken, and help that spans lines; the error names the metric.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, RegisterError> {
        Ok(self.counters(name, help, [])?.with([]))
    }

    /// Counters with labels.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and labels that are none, stand twice, or are Prometheus's own.
    pub fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Family<Counter, N>, RegisterError> {
        self.family(name, help, labels, Kind::Counter, ())
    }

    /// A gauge without labels.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, RegisterError> {
        Ok(self.gauges(name, help, [])?.with([]))
    }

    /// Gauges with labels.
    ///
    /// # Errors
    /// As [`counters`](Self::counters).
    pub fn gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Family<Gauge, N>, RegisterError> {
        self.family(name, help, labels, Kind::Gauge, ())
    }

    /// A histogram without labels. `bounds` are the upper ends of its buckets; one for everything beyond
    /// is added.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and bounds that are not finite, do not grow, or are more than 200.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: impl IntoIterator<Item = f64>,
    ) -> Result<Histogram, RegisterError> {
        Ok(self.histograms(name, help, [], bounds)?.with([]))
    }

    /// Histograms with labels.
    ///
    /// # Errors
    /// As [`counters`](Self::counters) and [`histogram`](Self::histogram).
    pub fn histograms<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        bounds: impl IntoIterator<Item = f64>,
    ) -> Result<Family<Histogram, N>, RegisterError> {
        let bounds: Vec<f64> = bounds.into_iter().take(MAX_BOUNDS + 1).collect();
        let grow = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if !grow || bounds.len() > MAX_BOUNDS || bounds.iter().any(|bound| !bound.is_finite()) {
            return Err(RegisterError::InvalidBounds(name.to_owned()));
        }
        if labels.contains(&"le") {
            return Err(RegisterError::InvalidLabel(name.to_owned(), "le".to_owned()));
        }
        self.family(name, help, labels, Kind::Histogram, Arc::new(Bounds::new(bounds)))
    }

    /// Takes a metric of the `prometheus-client` crate, a family among them, under a name. A counter's
    /// samples are called `<name>_total`. Its exemplars are kept.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    pub fn register(
        &self,
        name: &str,
        help: &str,
        metric: impl Metric,
    ) -> Result<(), RegisterError> {
        let kind = PrometheusMetric::kind_of(&metric);
        let definition = self.claim(name, help, kind)?;
        let defaults = self.shared.common.defaults.clone();
        let losses = Arc::clone(&self.shared.common.losses);
        self.add(Arc::new(PrometheusMetric::new(definition, metric, defaults, losses)));
        Ok(())
    }

    /// Every metric as OpenMetrics 1.0 text, exemplars included.
    pub fn to_openmetrics(&self) -> String {
        string(text::openmetrics(&self.snapshot()))
    }

    /// Every metric in Prometheus's text format 0.0.4, which has no exemplars.
    pub fn to_prometheus_text(&self) -> String {
        string(text::prometheus(&self.snapshot()))
    }

    /// The numbers of this moment. What observes meanwhile is not held up.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let sources = self.shared.sources.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families = Vec::with_capacity(sources.len());
        let mut read = Vec::new();
        for source in sources {
            // A source may run the service's code: its panic costs its own families and no more.
            match catch_unwind(AssertUnwindSafe(|| source.read(&mut read))) {
                Ok(()) => families.append(&mut read),
                Err(_) => {
                    read.clear();
                    Losses::count(&self.shared.common.losses.conflicts);
                }
            }
        }
        Snapshot { target: self.shared.target.clone(), ..Snapshot::new(unix_nanos(), families) }
    }

    fn family<I: Instrument + 'static, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: [&str; N],
        kind: Kind,
        settings: I::Settings,
    ) -> Result<Family<I, N>, RegisterError> {
        for (index, label) in labels.iter().enumerate() {
            if !name::is_label_name(label) || labels[..index].contains(label) {
                return Err(RegisterError::InvalidLabel(name.to_owned(), (*label).to_owned()));
            }
        }
        let definition = self.claim(name, help, kind)?;
        let family =
            Arc::new(InstrumentFamily::<I>::new(definition, &self.shared.common, settings));
        self.add(Arc::clone(&family) as Arc<dyn Source>);
        Ok(Family::new(family, labels.map(|label| Key::new(label.to_owned()))))
    }

    /// Checks a family that the service names, and takes its names.
    fn claim(&self, name: &str, help: &str, kind: Kind) -> Result<Definition, RegisterError> {
        if !name::is_metric_name(name) {
            return Err(RegisterError::InvalidName(name.to_owned()));
        }
        if help.contains(['\n', '\r']) {
            return Err(RegisterError::HelpSpansLines(name.to_owned()));
        }
        let full_name = format!("{}{name}", self.shared.prefix);
        let definition = Definition::of_prometheus(&full_name, help, kind);
        if !self.take_names(&definition) {
            return Err(RegisterError::DuplicateName(name.to_owned()));
        }
        Ok(definition)
    }

    /// Takes the names of a family's samples; all or, if one is taken already, none.
    pub(super) fn take_names(&self, definition: &Definition) -> bool {
        let mut names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = definition.sample_names();
        let are_free = wanted.iter().all(|name| !names.contains(name));
        if are_free {
            names.extend(wanted);
        }
        are_free
    }

    /// Adds a source whose names are taken.
    pub(super) fn add(&self, source: Arc<dyn Source>) {
        self.shared.sources.write().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// Adds a source of the table's families, whose names are taken.
    pub(super) fn add_own(&self, source: impl Read + 'static) {
        self.add(Arc::new(Own::new(source, self.common())));
    }

    pub(super) fn common(&self) -> &Common {
        &self.shared.common
    }
}

/// An exposition is made of texts, so it is one.
fn string(exposition: Vec<u8>) -> String {
    String::from_utf8(exposition).unwrap_or_default()
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Registry").field("names", &names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter as PrometheusCounter;

    use super::*;

    #[test]
    fn what_a_scraper_would_choke_on_is_refused_by_name() {
        let registry = Registry::default();
        let counter = PrometheusCounter::<u64>::default;
        for name in ["", "9lives", "a-b", "naïve", "a\nb"] {
            let error = registry.register(name, "Help", counter()).unwrap_err();
            assert_eq!(error, RegisterError::InvalidName(name.to_owned()));
            assert_eq!(registry.counter(name, "Help").unwrap_err(), error);
        }
        let error = registry.register("a", "one\ntwo", counter()).unwrap_err();
        assert_eq!(error, RegisterError::HelpSpansLines("a".to_owned()));
        registry.register("a", "Help", counter()).unwrap();
        let error = registry.register("a", "Help", counter()).unwrap_err();
        assert_eq!(error, RegisterError::DuplicateName("a".to_owned()));
        assert!(registry.to_openmetrics().ends_with("# EOF\n"));
    }

    #[test]
    fn a_name_that_another_family_s_samples_have_is_taken() {
        let registry = Registry::default();
        registry.histogram("wait_seconds", "Help", [1.0]).unwrap();
        registry.counter("orders_total", "Help").unwrap();
        for name in ["wait_seconds_count", "wait_seconds_bucket", "orders", "orders_total"] {
            let error = registry.gauge(name, "Help").unwrap_err();
            assert_eq!(error, RegisterError::DuplicateName(name.to_owned()));
        }
    }

    #[test]
    fn labels_and_bounds_that_cannot_be_are_refused() {
        let registry = Registry::default();
        for labels in [["a", "a"], ["a", "b-c"], ["a", "__b"], ["a", "b:c"]] {
            let error = registry.counters("n", "Help", labels).unwrap_err();
            assert_eq!(error, RegisterError::InvalidLabel("n".to_owned(), labels[1].to_owned()));
        }
        assert!(registry.histograms("n", "Help", ["le"], [1.0]).is_err());
        for bounds in [[1.0, 1.0], [2.0, 1.0], [1.0, f64::NAN], [1.0, f64::INFINITY]] {
            let error = registry.histogram("n", "Help", bounds).unwrap_err();
            assert_eq!(error, RegisterError::InvalidBounds("n".to_owned()));
        }
    }

    #[test]
    fn a_prefix_and_default_labels_are_on_all_that_the_service_names() {
        let labels = vec![("service".to_owned(), "shop".to_owned())];
        let prefix = "shop_".to_owned();
        let config = MetricsConfig { prefix, labels, ..Default::default() };
        let registry = Registry::new(&config, &Resource::builder_empty().build());
        registry.counter("orders", "Help").unwrap().inc();
        registry.register("lost", "Help", PrometheusCounter::<u64>::default()).unwrap();
        let text = registry.to_openmetrics();
        assert!(text.contains("shop_orders_total{service=\"shop\"} 1"), "{text}");
        assert!(text.contains("shop_lost_total{service=\"shop\"} 0"), "{text}");
    }
}

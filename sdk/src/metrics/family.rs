//! A family with labels: one instrument for each combination of their values.

use std::fmt;
use std::sync::Arc;

use opentelemetry::{Key, KeyValue};

use super::instrument::{Instrument, InstrumentFamily};

/// The instruments of one name, by the values of their `N` labels.
///
/// Look a series up once and keep the handle where you can; a lookup of a series that exists takes a read
/// lock and allocates nothing. Of more than 2,000 combinations the further ones are added up in one series
/// with the label `otel_metric_overflow="true"`, so that values from outside (paths, users) cannot fill the
/// memory.
///
/// ```
/// # let telemetry = spanline::init("checkout");
/// let orders = telemetry.registry().counters("orders", "Orders taken", ["shop", "payment"])?;
/// let by_card = orders.with(["berlin", "card"]);
/// by_card.inc();
/// let text = telemetry.registry().to_openmetrics();
/// assert!(text.contains(r#"orders_total{shop="berlin",payment="card"} 1"#));
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[expect(private_bounds, reason = "the instruments are these: counter, gauge, histogram")]
pub struct Family<I: Instrument, const N: usize> {
    family: Arc<InstrumentFamily<I>>,
    keys: [Key; N],
}

#[expect(private_bounds, reason = "as above")]
impl<I: Instrument, const N: usize> Family<I, N> {
    pub(super) fn new(family: Arc<InstrumentFamily<I>>, keys: [Key; N]) -> Self {
        Self { family, keys }
    }

    /// The instrument for these values of the labels, in the order in which they were named.
    pub fn with(&self, values: [&str; N]) -> I {
        let labels = || {
            let pairs = self.keys.iter().zip(values);
            pairs.map(|(key, value)| KeyValue::new(key.clone(), value.to_owned())).collect()
        };
        I::of(self.family.series.with_values(&values, labels))
    }
}

impl<I: Instrument, const N: usize> Clone for Family<I, N> {
    fn clone(&self) -> Self {
        Self { family: Arc::clone(&self.family), keys: self.keys.clone() }
    }
}

impl<I: Instrument, const N: usize> fmt::Debug for Family<I, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.family.definition.name).finish_non_exhaustive()
    }
}

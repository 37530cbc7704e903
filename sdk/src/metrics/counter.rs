//! A counter: it only grows, and remembers a request that made it grow.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::exemplar::Exemplar;
use super::instrument::{Common, Instrument};
use super::series::{Losses, Series};
use super::shard::Shards;
use super::snapshot::{Number, Value};
use crate::config::ExemplarFilter;

/// The whole part and the fraction that does not fit into it each have a slot.
const WHOLE: usize = 0;
const FLOAT: usize = 1;

/// Counts what happens: it only grows.
///
/// A clone counts into the same series. Counting waits for nothing and takes no lock. Inside a sampled span
/// it leaves the span's ids behind as an exemplar, by which a dashboard leads from the number to a trace.
///
/// ```
/// # let telemetry = spanline::init("checkout");
/// let orders = telemetry.registry().counter("orders", "Orders taken")?;
/// orders.inc();
/// assert!(telemetry.registry().to_openmetrics().contains("orders_total 1"));
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Counter {
    series: Arc<Series<CounterCore>>,
}

pub(super) struct CounterCore {
    shards: Shards,
    filter: ExemplarFilter,
    losses: Arc<Losses>,
}

impl Counter {
    /// Counts one.
    #[inline]
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Counts so many.
    #[inline]
    pub fn inc_by(&self, number: u64) {
        let core = &self.series.data;
        core.add(number, Exemplar::filtered(core.filter));
    }

    /// Counts a fraction, such as seconds. What is negative or no number is left out.
    pub fn inc_by_f64(&self, number: f64) {
        let core = &self.series.data;
        core.add_float(number, Exemplar::filtered(core.filter));
    }

    /// Counts so many with an exemplar that is known, or none: cheaper where there are several to count.
    #[inline]
    pub fn inc_by_with(&self, number: u64, exemplar: impl Into<Option<Exemplar>>) {
        self.series.data.add(number, exemplar.into());
    }

    /// What was counted so far.
    pub fn get(&self) -> f64 {
        self.series.data.number().as_f64()
    }
}

impl CounterCore {
    #[inline]
    pub(super) fn add(&self, number: u64, exemplar: Option<Exemplar>) {
        let Some(slot) = self.shards.own().get(WHOLE) else { return };
        slot.bits.fetch_add(number, Ordering::Relaxed);
        if let Some(exemplar) = exemplar {
            #[expect(clippy::cast_precision_loss, reason = "an exemplar's value is a float")]
            slot.exemplar.set(number as f64, &exemplar);
        }
    }

    pub(super) fn add_float(&self, number: f64, exemplar: Option<Exemplar>) {
        if !number.is_finite() || number < 0.0 {
            Losses::count(&self.losses.invalid);
            return;
        }
        let shard = self.shards.own();
        let (Some(whole), Some(slot)) = (shard.get(WHOLE), shard.get(FLOAT)) else { return };
        super::gauge::add(&slot.bits, number);
        if let Some(exemplar) = exemplar {
            whole.exemplar.set(number, &exemplar);
        }
    }

    pub(super) fn filter(&self) -> ExemplarFilter {
        self.filter
    }

    fn number(&self) -> Number {
        let (mut whole, mut float) = (0_u64, 0.0);
        for shard in self.shards.all() {
            if let [first, second, ..] = shard {
                whole = whole.wrapping_add(first.bits.load(Ordering::Relaxed));
                float += f64::from_bits(second.bits.load(Ordering::Relaxed));
            }
        }
        match float {
            0.0 => Number::Unsigned(whole),
            _ => Number::Float(Number::Unsigned(whole).as_f64() + float),
        }
    }
}

impl Instrument for Counter {
    type Core = CounterCore;
    type Settings = ();

    fn core(common: &Common, (): &()) -> CounterCore {
        CounterCore {
            shards: Shards::new(2),
            filter: common.filter,
            losses: Arc::clone(&common.losses),
        }
    }

    fn of(series: Arc<Series<CounterCore>>) -> Self {
        Self { series }
    }

    fn value(core: &CounterCore) -> Value {
        let example = core.shards.exemplar(WHOLE).map(Into::into);
        Value::Number { number: core.number(), example }
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

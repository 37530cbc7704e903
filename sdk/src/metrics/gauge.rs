//! A gauge: it goes up and down.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::instrument::{Common, Instrument};
use super::series::Series;
use super::snapshot::{Number, Value};

/// Says how much there is of something now.
///
/// A clone writes to the same series. Writing waits for nothing and takes no lock.
///
/// ```
/// # let telemetry = spanline::init("checkout");
/// let carts = telemetry.registry().gauge("open_carts", "Carts that are not paid")?;
/// carts.set(3.0);
/// carts.dec();
/// assert_eq!(carts.get(), 2.0);
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Gauge {
    series: Arc<Series<GaugeCore>>,
}

/// A float's bits.
#[derive(Debug)]
pub(super) struct GaugeCore(AtomicU64);

impl Gauge {
    /// There are so many now.
    pub fn set(&self, value: f64) {
        self.series.data.set(value);
    }

    /// There is one more.
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// There is one less.
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// There are so many more, or less if the number is negative.
    pub fn add(&self, difference: f64) {
        self.series.data.add(difference);
    }

    /// How many there are.
    pub fn get(&self) -> f64 {
        self.series.data.get()
    }
}

impl GaugeCore {
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn add(&self, difference: f64) {
        add(&self.0, difference);
    }
}

/// Adds to a float that is kept as its bits.
#[inline]
pub(super) fn add(bits: &AtomicU64, difference: f64) {
    let mut seen = bits.load(Ordering::Relaxed);
    loop {
        let sum = (f64::from_bits(seen) + difference).to_bits();
        match bits.compare_exchange_weak(seen, sum, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

impl Instrument for Gauge {
    type Core = GaugeCore;
    type Settings = ();

    fn core(_: &Common, (): &()) -> GaugeCore {
        GaugeCore(AtomicU64::new(0.0_f64.to_bits()))
    }

    fn of(series: Arc<Series<GaugeCore>>) -> Self {
        Self { series }
    }

    fn value(core: &GaugeCore) -> Value {
        Value::Number { number: Number::Float(core.get()), example: None }
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.get()).finish()
    }
}

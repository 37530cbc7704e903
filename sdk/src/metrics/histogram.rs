//! A histogram: how many observations were how large, with an example for each bucket.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::bounds::Bounds;
use super::exemplar::Exemplar;
use super::instrument::{Common, Instrument};
use super::series::{Losses, Series};
use super::shard::Shards;
use super::snapshot::{HistogramValue, Value};
use crate::config::ExemplarFilter;

/// The slot of the sum; the buckets follow.
const SUM: usize = 0;
const FIRST_BUCKET: usize = 1;

/// Counts observations by their size.
///
/// A clone observes into the same series. Observing waits for nothing and takes no lock. Inside a sampled
/// span it leaves the span's ids behind as the bucket's exemplar: a slow bucket leads to a slow trace. What
/// is no finite number is left out.
///
/// ```
/// # let telemetry = spanline::init("checkout");
/// let sizes = telemetry.registry().histogram("cart_items", "Items in a cart", [1.0, 5.0, 20.0])?;
/// sizes.observe(3.0);
/// let text = telemetry.registry().to_openmetrics();
/// assert!(text.contains("cart_items_bucket{le=\"5.0\"} 1"));
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Histogram {
    series: Arc<Series<HistogramCore>>,
}

pub(super) struct HistogramCore {
    bounds: Arc<Bounds>,
    shards: Shards,
    filter: ExemplarFilter,
    losses: Arc<Losses>,
}

impl Histogram {
    /// Counts a value, and keeps the span that is active here as the bucket's example if it is sampled.
    #[inline]
    pub fn observe(&self, value: f64) {
        let core = &self.series.data;
        core.observe(value, Exemplar::filtered(core.filter));
    }

    /// Counts a value with an exemplar that is known, or none: cheaper where there are several to observe,
    /// and the way to name a request that is over.
    #[inline]
    pub fn observe_with(&self, value: f64, exemplar: impl Into<Option<Exemplar>>) {
        self.series.data.observe(value, exemplar.into());
    }
}

impl HistogramCore {
    #[inline]
    pub(super) fn observe(&self, value: f64, exemplar: Option<Exemplar>) {
        if !value.is_finite() {
            Losses::count(&self.losses.invalid);
            return;
        }
        let bucket = self.bounds.values.partition_point(|bound| *bound < value);
        let shard = self.shards.own();
        let (Some(sum), Some(slot)) = (shard.get(SUM), shard.get(FIRST_BUCKET + bucket)) else {
            return;
        };
        slot.bits.fetch_add(1, Ordering::Relaxed);
        super::gauge::add(&sum.bits, value);
        if let Some(exemplar) = exemplar {
            slot.exemplar.set(value, &exemplar);
        }
    }

    pub(super) fn filter(&self) -> ExemplarFilter {
        self.filter
    }
}

impl Instrument for Histogram {
    type Core = HistogramCore;
    type Settings = Arc<Bounds>;

    fn core(common: &Common, bounds: &Arc<Bounds>) -> HistogramCore {
        HistogramCore {
            shards: Shards::new(FIRST_BUCKET + bounds.texts.len()),
            bounds: Arc::clone(bounds),
            filter: common.filter,
            losses: Arc::clone(&common.losses),
        }
    }

    fn of(series: Arc<Series<HistogramCore>>) -> Self {
        Self { series }
    }

    fn value(core: &HistogramCore) -> Value {
        let buckets = core.bounds.texts.len();
        let mut counts = vec![0; buckets];
        let mut sum = 0.0;
        for shard in core.shards.all() {
            // The sum first: it is then never ahead of a count by more than what is being observed.
            sum += shard
                .get(SUM)
                .map_or(0.0, |slot| f64::from_bits(slot.bits.load(Ordering::Relaxed)));
            for (count, slot) in counts.iter_mut().zip(shard.iter().skip(FIRST_BUCKET)) {
                *count += slot.bits.load(Ordering::Relaxed);
            }
        }
        let example = |bucket| core.shards.exemplar(FIRST_BUCKET + bucket).map(Into::into);
        let examples = (0..buckets).map(example).collect();
        Value::Histogram(HistogramValue { bounds: Arc::clone(&core.bounds), counts, sum, examples })
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::metrics::{Counter, Registry};

    const THREADS: u64 = 64;
    const EACH: u64 = 2_000;

    /// The number of the only sample that begins so.
    fn number(text: &str, start: &str) -> u64 {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap();
        line.strip_prefix(start).unwrap().split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_count_is_the_infinite_bucket_s_and_nothing_decreases_under_64_threads() {
        let registry = Registry::default();
        let histogram = registry.histogram("wait_seconds", "Help", [0.5, 1.0]).unwrap();
        let counter = registry.counter("waits", "Help").unwrap();
        let work = |histogram: &Histogram, counter: &Counter| {
            for number in 0..EACH {
                histogram.observe([0.25, 0.75, 2.0][usize::try_from(number % 3).unwrap()]);
                counter.inc();
            }
        };
        let names = [
            "wait_seconds_bucket{le=\"0.5\"} ",
            "wait_seconds_bucket{le=\"1.0\"} ",
            "wait_seconds_bucket{le=\"+Inf\"} ",
            "wait_seconds_count ",
            "waits_total ",
        ];
        let read = || names.map(|name| number(&registry.to_openmetrics(), name));
        thread::scope(|scope| {
            let workers: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| work(&histogram, &counter))).collect();
            let mut before = [0; 5];
            while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
                let text = registry.to_openmetrics();
                let now = names.map(|name| number(&text, name));
                assert_eq!(now[2], now[3], "{text}");
                assert!(now.iter().zip(before).all(|(now, before)| *now >= before), "{text}");
                before = now;
            }
        });
        let all = THREADS * EACH;
        let half = THREADS * EACH.div_ceil(3);
        assert_eq!(read(), [half, THREADS * (EACH.div_ceil(3) * 2), all, all, all]);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_no_number_to_none() {
        let registry = Registry::default();
        let histogram = registry.histogram("size", "Help", [1.0, 2.0]).unwrap();
        for value in [-1.0, 1.0, 1.5, 2.0, 3.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            histogram.observe(value);
        }
        let text = registry.to_openmetrics();
        let counts = ["1.0", "2.0", "+Inf"]
            .map(|bound| number(&text, &format!("size_bucket{{le=\"{bound}\"}} ")));
        assert_eq!(counts, [2, 4, 5]);
        assert!(text.contains("size_sum 6.5\n"), "{text}");
        assert_eq!(registry.common().losses.invalid.load(Ordering::Relaxed), 3);
    }
}

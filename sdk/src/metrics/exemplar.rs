//! The example that a number carries: one request that went into it.
//!
//! A cell holds the latest one. Writers never wait: who finds another at work leaves its own example out.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::time::{ClockId, clock_gettime};

use crate::config::ExemplarFilter;
use crate::context::{self, SpanIds};

/// A request to remember beside an observation: the ids of its span, and when it was.
///
/// It is taken once, and given to any number of observations:
///
/// ```
/// # let telemetry = spanline::init("checkout");
/// let latency = telemetry.registry().histogram("latency_seconds", "How long it took", [0.1, 1.0])?;
/// if let Some(exemplar) = spanline::metrics::Exemplar::current() {
///     latency.observe_with(0.25, exemplar);
/// }
/// # Ok::<(), spanline::metrics::RegisterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) unix_nanos: u64,
}

impl Exemplar {
    /// The span that is active on this thread, and now; `None` outside a span, and in one that is not
    /// sampled: its trace is nowhere to be found.
    pub fn current() -> Option<Self> {
        Self::filtered(ExemplarFilter::TraceBased)
    }

    /// The same under a filter.
    pub(super) fn filtered(filter: ExemplarFilter) -> Option<Self> {
        if filter == ExemplarFilter::AlwaysOff {
            return None;
        }
        let ids = context::active()?;
        (ids.sampled || filter == ExemplarFilter::AlwaysOn).then(|| Self::at(ids, unix_nanos()))
    }

    /// A span that is known, now.
    pub(super) fn of_span(span: Option<SpanIds>, filter: ExemplarFilter) -> Option<Self> {
        let ids = span?;
        let is_wanted = match filter {
            ExemplarFilter::AlwaysOn => true,
            ExemplarFilter::AlwaysOff => false,
            ExemplarFilter::TraceBased => ids.sampled,
        };
        is_wanted.then(|| Self::at(ids, unix_nanos()))
    }

    /// A span at a time, both known to the caller.
    pub(crate) fn at(ids: SpanIds, unix_nanos: u64) -> Self {
        Self { trace_id: ids.trace_id, span_id: ids.span_id, unix_nanos }
    }
}

/// Now, to a few milliseconds: an example's time need not be better, and the coarse clock costs a
/// quarter of the exact one.
pub(super) fn unix_nanos() -> u64 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Holds the latest example of one number.
#[derive(Debug, Default)]
pub(super) struct ExemplarCell {
    /// Odd while a writer is at work, 0 as long as there is no example.
    version: AtomicU64,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
    value: AtomicU64,
    unix_nanos: AtomicU64,
}

impl ExemplarCell {
    pub(super) fn set(&self, value: f64, exemplar: &Exemplar) {
        let version = self.version.load(Ordering::Relaxed);
        if !version.is_multiple_of(2) {
            return;
        }
        let taken = self.version.compare_exchange(
            version,
            version + 1,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return;
        }
        // No reader may see what follows without the odd version above.
        fence(Ordering::Release);
        let trace_id = u128::from_ne_bytes(exemplar.trace_id);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the id")]
        let halves = [trace_id as u64, (trace_id >> 64) as u64];
        for (half, id) in self.trace_id.iter().zip(halves) {
            half.store(id, Ordering::Relaxed);
        }
        self.span_id.store(u64::from_ne_bytes(exemplar.span_id), Ordering::Relaxed);
        self.value.store(value.to_bits(), Ordering::Relaxed);
        self.unix_nanos.store(exemplar.unix_nanos, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// The example, with the value that was observed; `None` also where a writer was at work each time.
    pub(super) fn get(&self) -> Option<(f64, Exemplar)> {
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let version = self.version.load(Ordering::Acquire);
            if version == 0 {
                return None;
            }
            let [low, high] = [&self.trace_id[0], &self.trace_id[1]]
                .map(|half| u128::from(half.load(Ordering::Relaxed)));
            let exemplar = Exemplar {
                trace_id: (low | high << 64).to_ne_bytes(),
                span_id: self.span_id.load(Ordering::Relaxed).to_ne_bytes(),
                unix_nanos: self.unix_nanos.load(Ordering::Relaxed),
            };
            let value = f64::from_bits(self.value.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version {
                return Some((value, exemplar));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    fn exemplar(byte: u8) -> Exemplar {
        Exemplar { trace_id: [byte; 16], span_id: [byte; 8], unix_nanos: u64::from(byte) }
    }

    #[test]
    fn the_latest_example_is_kept_with_its_value() {
        let cell = ExemplarCell::default();
        assert_eq!(cell.get(), None);
        cell.set(0.5, &exemplar(1));
        cell.set(1.5, &exemplar(2));
        assert_eq!(cell.get(), Some((1.5, exemplar(2))));
    }

    #[test]
    fn an_example_is_never_a_mixture_of_two() {
        let cell = ExemplarCell::default();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for byte in [1, 2, 3] {
                let (cell, done) = (&cell, &done);
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        cell.set(f64::from(byte), &exemplar(byte));
                    }
                });
            }
            let mut seen = 0;
            while seen < 20_000 {
                if let Some((value, found)) = cell.get() {
                    let byte = found.span_id[0];
                    assert_eq!((value, found), (f64::from(byte), exemplar(byte)));
                    seen += 1;
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn the_coarse_clock_is_near_the_exact_one() {
        let exact = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(u128::from(unix_nanos()).abs_diff(exact.as_nanos()) < 1_000_000_000);
    }
}

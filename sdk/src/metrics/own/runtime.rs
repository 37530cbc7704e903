//! The host's tokio runtime: what it tells of itself on stable Rust, and how late its timers wake.

#[cfg(any(test, all(tokio_unstable, target_has_atomic = "64")))]
mod unstable;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;

use super::{Read, Readings};
use crate::context;
use crate::metrics::bounds::Bounds;
use crate::metrics::histogram::{Histogram, HistogramCore};
use crate::metrics::instrument::{Common, Instrument as _};
use crate::metrics::labels::pair;
use crate::metrics::snapshot::{Number, Value};

/// How long the timer sleeps whose lateness is measured.
const INTERVAL: Duration = Duration::from_millis(100);
/// The measurements of the last minute.
const WINDOW: usize = 600;

/// From a tenth of a millisecond, which is no lag, to ten seconds.
const BOUNDS: [f64; 15] =
    [0.0001, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The runtime that is watched, once one was found.
pub(in crate::metrics) struct WatchedRuntime {
    watched: Mutex<Option<Watched>>,
    lag: Arc<Lag>,
}

struct Watched {
    handle: Handle,
    since: std::time::Instant,
    /// What the workers had been busy for by then.
    busy_before: Vec<Duration>,
    /// Ends the task that measures.
    is_over: Arc<AtomicBool>,
}

/// How late timers woke.
struct Lag {
    histogram: HistogramCore,
    latest: Mutex<VecDeque<Duration>>,
}

impl WatchedRuntime {
    pub(in crate::metrics) fn new(common: &Common) -> Self {
        let histogram = Histogram::core(common, &Arc::new(Bounds::new(BOUNDS)));
        let lag = Lag { histogram, latest: Mutex::default() };
        Self { watched: Mutex::default(), lag: Arc::new(lag) }
    }

    /// Watches a runtime, in place of the one that was.
    pub(in crate::metrics) fn watch(&self, handle: &Handle) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = watched.take() {
            before.is_over.store(true, Ordering::Relaxed);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        // Not there on a machine without 64-bit atomics.
        #[cfg(target_has_atomic = "64")]
        let busy_before = busy(&handle.metrics());
        #[cfg(not(target_has_atomic = "64"))]
        let busy_before = Vec::new();
        handle.spawn(measure(Arc::clone(&self.lag), Arc::clone(&is_over)));
        let since = std::time::Instant::now();
        *watched = Some(Watched { handle: handle.clone(), since, busy_before, is_over });
    }

    /// Whether one is watched.
    pub(in crate::metrics) fn is_watching(&self) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Ends the measurement.
    pub(in crate::metrics) fn stop(&self) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = &*watched {
            watched.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Sleeps, and notes by how much it overslept. A runtime without timers has no lag to measure.
async fn measure(lag: Arc<Lag>, is_over: Arc<AtomicBool>) {
    // There is no other way to ask for timers than to make one.
    if !context::works(|| drop(tokio::time::sleep(Duration::ZERO))) {
        return;
    }
    while !is_over.load(Ordering::Relaxed) {
        let due = Instant::now() + INTERVAL;
        tokio::time::sleep_until(due).await;
        lag.note(Instant::now().saturating_duration_since(due));
    }
}

impl Lag {
    fn note(&self, late: Duration) {
        self.histogram.observe(late.as_secs_f64(), None);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == WINDOW {
            latest.pop_front();
        }
        latest.push_back(late);
    }

    /// Of the last minute, sorted.
    fn sorted(&self) -> Vec<Duration> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<_> = latest.iter().copied().collect();
        drop(latest);
        sorted.sort_unstable();
        sorted
    }
}

#[cfg(target_has_atomic = "64")]
fn busy(metrics: &RuntimeMetrics) -> Vec<Duration> {
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).collect()
}

/// The smallest value that so many hundredths of all are not above.
fn percentile(sorted: &[Duration], hundredths: usize) -> Option<Duration> {
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

impl Read for Arc<WatchedRuntime> {
    fn read(&self, readings: &mut Readings<'_>) {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Watched { handle, since, busy_before, .. }) = &*watched else { return };
        let (metrics, watched_for) = (handle.metrics(), since.elapsed());
        let busy_before = busy_before.clone();
        drop(watched);
        let workers = metrics.num_workers();
        readings.unsigned("spanline_tokio_workers", workers as u64);
        readings.unsigned("spanline_tokio_alive_tasks", metrics.num_alive_tasks() as u64);
        readings.unsigned("spanline_tokio_global_queue_depth", metrics.global_queue_depth() as u64);
        #[cfg(target_has_atomic = "64")]
        {
            let label = |worker: usize| vec![pair("worker", worker.to_string())];
            let busy = busy(&metrics);
            let seconds = busy.iter().enumerate();
            let seconds =
                seconds.map(|(worker, busy)| (label(worker), Number::Float(busy.as_secs_f64())));
            readings.labelled("spanline_tokio_worker_busy_seconds_total", seconds);
            let watched_for = watched_for.as_secs_f64().max(f64::MIN_POSITIVE);
            let ratios = busy.iter().zip(&busy_before).enumerate();
            let ratios = ratios.map(|(worker, (busy, before))| {
                let ratio = busy.saturating_sub(*before).as_secs_f64() / watched_for;
                (label(worker), Number::Float(ratio.min(1.0)))
            });
            readings.labelled("spanline_tokio_worker_busy_ratio", ratios);
            let parks = (0..workers)
                .map(|worker| (label(worker), Number::Unsigned(metrics.worker_park_count(worker))));
            readings.labelled("spanline_tokio_worker_parks_total", parks);
            #[cfg(tokio_unstable)]
            unstable::read(&metrics, readings);
        }
        if let Value::Histogram(histogram) = Histogram::value(&self.lag.histogram) {
            readings.histogram("spanline_scheduling_lag_seconds", histogram);
        }
        let sorted = self.lag.sorted();
        for (name, hundredths) in [
            ("spanline_scheduling_lag_p50_seconds", 50),
            ("spanline_scheduling_lag_p90_seconds", 90),
            ("spanline_scheduling_lag_p99_seconds", 99),
            ("spanline_scheduling_lag_max_seconds", 100),
        ] {
            if let Some(lag) = percentile(&sorted, hundredths) {
                readings.float(name, lag.as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let millis = |count: u64| (1..=count).map(Duration::from_millis).collect::<Vec<_>>();
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&millis(1), 50), Some(Duration::from_millis(1)));
        for (hundredths, expected) in [(50, 100), (90, 180), (99, 198), (100, 200)] {
            let found = percentile(&millis(200), hundredths);
            assert_eq!(found, Some(Duration::from_millis(expected)));
        }
    }

    /// The executable definition of the lag: on a paused clock it is what a worker was held up for.
    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_held_up_makes_the_timer_late_by_just_so_much() {
        let runtime = WatchedRuntime::new(&Common::default());
        runtime.watch(&Handle::current());
        // Lets the task begin its first sleep; nothing holds it up.
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::time::sleep(INTERVAL).await;
        assert_eq!(runtime.lag.sorted(), [Duration::ZERO]);
        // The clock goes on by a second in one step, as it does beside work that does not yield: the timer that
        // was due after 99 ms is 901 ms late.
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let lag = runtime.lag.sorted();
        assert_eq!(lag, [Duration::ZERO, Duration::from_millis(901)]);
        let Value::Histogram(histogram) = Histogram::value(&runtime.lag.histogram) else {
            panic!()
        };
        assert_eq!(histogram.sum, 0.901);
        let second = BOUNDS.iter().position(|bound| *bound == 1.0).unwrap();
        assert_eq!((histogram.counts[0], histogram.counts[second]), (1, 1));
    }

    #[test]
    fn a_runtime_without_timers_has_no_lag_and_no_panic() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let watched = WatchedRuntime::new(&Common::default());
        watched.watch(runtime.handle());
        runtime.block_on(async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        });
        assert!(watched.lag.sorted().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_last_minute_counts_and_a_stop_ends_the_measurement() {
        let runtime = WatchedRuntime::new(&Common::default());
        runtime.watch(&Handle::current());
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(runtime.lag.sorted().len(), WINDOW);
        runtime.stop();
        tokio::time::sleep(INTERVAL * 2).await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    }
}

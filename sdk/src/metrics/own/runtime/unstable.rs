//! What the runtime tells in addition where everything is built with `--cfg tokio_unstable`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::bounds::Bounds;
use crate::metrics::snapshot::HistogramValue;

#[cfg(all(tokio_unstable, target_has_atomic = "64"))]
pub(super) use read::read;

#[cfg(all(tokio_unstable, target_has_atomic = "64"))]
mod read {
    use tokio::runtime::RuntimeMetrics;

    use super::super::super::Readings;
    use super::histogram;
    use crate::metrics::labels::pair;
    use crate::metrics::snapshot::Number;

    type OfWorker = fn(&RuntimeMetrics, usize) -> u64;

    const BY_WORKER: [(&str, OfWorker); 7] = [
        ("spanline_tokio_local_queue_depth", |of, worker| {
            of.worker_local_queue_depth(worker) as u64
        }),
        ("spanline_tokio_worker_noops_total", RuntimeMetrics::worker_noop_count),
        ("spanline_tokio_worker_steals_total", RuntimeMetrics::worker_steal_operations),
        ("spanline_tokio_worker_stolen_tasks_total", RuntimeMetrics::worker_steal_count),
        ("spanline_tokio_worker_polls_total", RuntimeMetrics::worker_poll_count),
        (
            "spanline_tokio_worker_local_schedules_total",
            RuntimeMetrics::worker_local_schedule_count,
        ),
        ("spanline_tokio_worker_overflows_total", RuntimeMetrics::worker_overflow_count),
    ];

    pub(in super::super) fn read(metrics: &RuntimeMetrics, readings: &mut Readings<'_>) {
        let workers = metrics.num_workers();
        for (name, of_worker) in BY_WORKER {
            let numbers = (0..workers).map(|worker| {
                let label = vec![pair("worker", worker.to_string())];
                (label, Number::Unsigned(of_worker(metrics, worker)))
            });
            readings.labelled(name, numbers);
        }
        for (name, number) in [
            ("spanline_tokio_blocking_threads", metrics.num_blocking_threads() as u64),
            ("spanline_tokio_blocking_threads_idle", metrics.num_idle_blocking_threads() as u64),
            ("spanline_tokio_blocking_queue_depth", metrics.blocking_queue_depth() as u64),
            ("spanline_tokio_tasks_spawned_total", metrics.spawned_tasks_count()),
            ("spanline_tokio_remote_schedules_total", metrics.remote_schedule_count()),
            ("spanline_tokio_forced_yields_total", metrics.budget_forced_yield_count()),
            ("spanline_tokio_io_registered_total", metrics.io_driver_fd_registered_count()),
            ("spanline_tokio_io_deregistered_total", metrics.io_driver_fd_deregistered_count()),
            ("spanline_tokio_io_ready_total", metrics.io_driver_ready_count()),
        ] {
            readings.unsigned(name, number);
        }
        // These two only where whoever built the runtime asked for them.
        if metrics.poll_time_histogram_enabled() {
            let count = |bucket| {
                let of = |worker| metrics.poll_time_histogram_bucket_count(worker, bucket);
                (metrics.poll_time_histogram_bucket_range(bucket), (0..workers).map(of).sum())
            };
            let buckets = (0..metrics.poll_time_histogram_num_buckets()).map(count);
            readings.histogram("spanline_tokio_poll_time_seconds", histogram(buckets));
        }
        if metrics.schedule_latency_histogram_enabled() {
            let count = |bucket| {
                let of = |worker| metrics.schedule_latency_histogram_bucket_count(worker, bucket);
                (
                    metrics.schedule_latency_histogram_bucket_range(bucket),
                    (0..workers).map(of).sum(),
                )
            };
            let buckets = (0..metrics.schedule_latency_histogram_num_buckets()).map(count);
            readings.histogram("spanline_tokio_schedule_latency_seconds", histogram(buckets));
        }
    }
}

/// A histogram of tokio's, which keeps no sum: each observation counts as the middle of its bucket, and as the
/// lower end of the last one. Beyond the most bounds that a histogram may have, buckets are one.
fn histogram(buckets: impl Iterator<Item = (Range<Duration>, u64)>) -> HistogramValue {
    let buckets: Vec<_> = buckets.collect();
    let last = buckets.len().saturating_sub(1);
    let ends = buckets.iter().take(last).map(|(range, _)| range.end.as_secs_f64());
    let bounds = Arc::new(Bounds::new(ends));
    let mut counts = vec![0; bounds.texts.len()];
    let mut sum = 0.0;
    for (index, (range, count)) in buckets.iter().enumerate() {
        let middle = match index {
            index if index == last => range.start,
            _ => range.start + (range.end - range.start) / 2,
        };
        #[expect(clippy::cast_precision_loss, reason = "a sum is a float")]
        let observations = *count as f64;
        sum += middle.as_secs_f64() * observations;
        let of_infinity = counts.len() - 1;
        if let Some(total) = counts.get_mut(index.min(of_infinity)) {
            *total += count;
        }
    }
    HistogramValue { bounds, examples: vec![None; counts.len()], counts, sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(range: Range<u64>, count: u64) -> (Range<Duration>, u64) {
        (Duration::from_millis(range.start)..Duration::from_millis(range.end), count)
    }

    #[test]
    fn tokios_buckets_are_a_histogram_whose_sum_is_of_their_middles() {
        let buckets = [millis(0..500, 4), millis(500..1_500, 2), millis(1_500..u64::MAX, 3)];
        let histogram = histogram(buckets.into_iter());
        assert_eq!(*histogram.bounds.values, [0.5, 1.5]);
        assert_eq!((&*histogram.counts, histogram.sum), (&[4, 2, 3][..], 1.0 + 2.0 + 4.5));
    }

    #[test]
    fn more_buckets_than_a_histogram_may_have_lose_no_observation() {
        let histogram = histogram((0..300).map(|start| millis(start..start + 1, 1)));
        assert_eq!(histogram.counts.len(), histogram.bounds.texts.len());
        assert_eq!(histogram.counts.iter().sum::<u64>(), 300);
    }
}

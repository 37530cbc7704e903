//! The families that the SDK has by itself: of the process, its limits, its runtime, and of the SDK's own
//! account. Their names and help are declared here, once; the docs show the same table.

#[cfg(feature = "jemalloc")]
mod allocator;
mod cgroup;
mod process;
mod runtime;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use opentelemetry::KeyValue;

use super::bounds::Bounds;
use super::definition::{Definition, Kind};
use super::exemplar::unix_nanos;
use super::instrument::{Common, Source};
use super::labels::{LabelSet, pair};
use super::ledger::PushLedger;
use super::snapshot::{Family, HistogramValue, Number, Point, Value};
use crate::otlp::{TIMING_BOUNDS, TimingReading};
#[cfg(feature = "jemalloc")]
pub(super) use allocator::Allocator;
pub(super) use process::Process;
pub(super) use runtime::WatchedRuntime;

/// A family's row in the table: its name as it is served, its kind, what its labels are, its help.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the docs show it, and a test compares them")
    )]
    pub(super) labels: &'static str,
    pub(super) help: &'static str,
}

macro_rules! table {
    ($($name:literal $kind:ident $labels:literal $help:literal)*) => {
        /// Every family, in the order of the docs.
        pub(super) const TABLE: &[Row] = &[
            $(Row { name: $name, kind: Kind::$kind, labels: $labels, help: $help },)*
        ];
    };
}

table! {
    "process_cpu_seconds_total" Counter "" "CPU time of the process, user and system"
    "process_resident_memory_bytes" Gauge "" "Resident memory of the process"
    "process_virtual_memory_bytes" Gauge "" "Virtual memory of the process"
    "process_open_fds" Gauge "" "Open file descriptors"
    "process_max_fds" Gauge "" "File descriptors that may be open"
    "process_start_time_seconds" Gauge "" "When the process started, in seconds since 1970"
    "process_threads" Gauge "" "Threads of the process"
    "spanline_cgroup_memory_limit_bytes" Gauge "" "Memory that the container may use; absent without a limit"
    "spanline_cgroup_memory_usage_bytes" Gauge "" "Memory that the container uses, caches included"
    "spanline_cgroup_cpu_limit_cores" Gauge "" "CPUs that the container may use; absent without a limit"
    "spanline_cgroup_cpu_periods_total" Counter "" "Periods in which the container's CPU limit was enforced"
    "spanline_cgroup_cpu_throttled_periods_total" Counter "" "Periods in which the container was throttled"
    "spanline_cgroup_cpu_throttled_seconds_total" Counter "" "Time for which the container was throttled"
    "spanline_jemalloc_allocated_bytes" Gauge "" "Memory that the service has asked for, by its own count"
    "spanline_jemalloc_active_bytes" Gauge "" "Memory in pages that hold what the service has asked for"
    "spanline_jemalloc_metadata_bytes" Gauge "" "Memory that jemalloc needs for its books"
    "spanline_jemalloc_resident_bytes" Gauge "" "Memory that jemalloc keeps resident"
    "spanline_jemalloc_mapped_bytes" Gauge "" "Memory that jemalloc has mapped"
    "spanline_jemalloc_retained_bytes" Gauge "" "Memory that jemalloc keeps reserved without mapping it"
    "spanline_tokio_workers" Gauge "" "Worker threads of the tokio runtime"
    "spanline_tokio_alive_tasks" Gauge "" "Tasks that are alive in the runtime"
    "spanline_tokio_global_queue_depth" Gauge "" "Tasks that wait in the runtime's global queue"
    "spanline_tokio_worker_busy_seconds_total" Counter "worker" "Time for which a worker was busy"
    "spanline_tokio_worker_busy_ratio" Gauge "worker" "Part of the time since the runtime was first watched for which a worker was busy"
    "spanline_tokio_worker_parks_total" Counter "worker" "How often a worker went to sleep for want of work"
    "spanline_tokio_blocking_threads" Gauge "" "Threads for blocking work"
    "spanline_tokio_blocking_threads_idle" Gauge "" "Threads for blocking work that have none"
    "spanline_tokio_blocking_queue_depth" Gauge "" "Blocking work that waits for a thread"
    "spanline_tokio_local_queue_depth" Gauge "worker" "Tasks that wait in a worker's own queue"
    "spanline_tokio_tasks_spawned_total" Counter "" "Tasks that were spawned"
    "spanline_tokio_remote_schedules_total" Counter "" "Tasks that were woken from outside of the runtime"
    "spanline_tokio_forced_yields_total" Counter "" "How often a task had used up its budget and had to yield"
    "spanline_tokio_worker_polls_total" Counter "worker" "Polls of tasks by a worker"
    "spanline_tokio_worker_noops_total" Counter "worker" "How often a worker woke up and found no work"
    "spanline_tokio_worker_steals_total" Counter "worker" "How often a worker took tasks from another"
    "spanline_tokio_worker_stolen_tasks_total" Counter "worker" "Tasks that a worker took from others"
    "spanline_tokio_worker_local_schedules_total" Counter "worker" "Tasks that a worker put into its own queue"
    "spanline_tokio_worker_overflows_total" Counter "worker" "How often a worker's own queue was full"
    "spanline_tokio_poll_time_seconds" Histogram "" "How long polls of tasks take; the sum is of the buckets' middles"
    "spanline_tokio_schedule_latency_seconds" Histogram "" "How long woken tasks wait to be polled; the sum is of the buckets' middles"
    "spanline_tokio_io_registered_total" Counter "" "Sources that were registered with the I/O driver"
    "spanline_tokio_io_deregistered_total" Counter "" "Sources that were taken from the I/O driver"
    "spanline_tokio_io_ready_total" Counter "" "Events of the I/O driver"
    "spanline_scheduling_lag_seconds" Histogram "" "How late a timer of the runtime wakes: its event loop's lag"
    "spanline_scheduling_lag_p50_seconds" Gauge "" "Median of the scheduling lag in the last minute"
    "spanline_scheduling_lag_p90_seconds" Gauge "" "90th percentile of the scheduling lag in the last minute"
    "spanline_scheduling_lag_p99_seconds" Gauge "" "99th percentile of the scheduling lag in the last minute"
    "spanline_scheduling_lag_max_seconds" Gauge "" "Largest scheduling lag in the last minute"
    "spanline_http_server_slow_polls_total" Counter "http_route" "Polls of a request that took longer than SPANLINE_SLOW_POLL_THRESHOLD"
    "spanline_http_server_poll_time_seconds" Histogram "http_route" "How long a request was polled, all its polls together"
    "spanline_http_server_scheduling_delay_seconds" Histogram "http_route" "How long a request waited between being woken and being polled, all its polls together; where the layer measures it"
    "spanline_build_info" Info "version" "The version of the SDK"
    "spanline_lines_emitted_total" Counter "" "Log lines that were to be written"
    "spanline_lines_written_total" Counter "" "Log lines that the output has taken"
    "spanline_lines_queued" Gauge "" "Log lines that wait"
    "spanline_lines_dropped_total" Counter "reason" "Log lines that were dropped"
    "spanline_spans_ended_total" Counter "" "Sampled spans that ended"
    "spanline_spans_exported_total" Counter "" "Spans that the receiver has taken"
    "spanline_spans_queued" Gauge "" "Spans that wait or are on their way"
    "spanline_spans_dropped_total" Counter "reason" "Spans that were dropped"
    "spanline_panics_total" Counter "" "Panics that were seen, and written as a line each"
    "spanline_sdk_export_duration_seconds" Histogram "signal, outcome" "How long the receiver of traces or metrics took for a request"
    "spanline_metric_pushes_total" Counter "result" "Pushes of metrics"
    "spanline_metric_points_rejected_total" Counter "" "Data points that the receiver rejected out of pushes that it took"
    "spanline_metric_overflows_total" Counter "" "Look-ups that ended at a family's overflow series"
    "spanline_metric_values_refused_total" Counter "" "Values that are no finite numbers, or would make a counter shrink"
    "spanline_metric_conflicts_total" Counter "" "Instruments whose name was taken, and families that could not be read"
    "spanline_metrics_scrapers_refused_total" Counter "" "Scrapers that came when there were too many, or showed no certificate or token that is known"
}

impl Row {
    fn definition(&self) -> Definition {
        Definition::of_prometheus(self.name, self.help, self.kind)
    }
}

/// The definition of a row, by its name in the table.
pub(super) fn definition(name: &'static str) -> Definition {
    let row = TABLE.iter().find(|row| row.name == name);
    debug_assert!(row.is_some(), "{name} is in no row");
    row.map_or_else(|| Definition::of_prometheus(name, "", Kind::Unknown), Row::definition)
}

/// Every definition of the table, to take their names.
pub(super) fn definitions() -> impl Iterator<Item = Definition> {
    TABLE.iter().map(Row::definition)
}

/// What a source of the table says, family by family.
pub(super) struct Readings<'a> {
    common: &'a Common,
    start_nanos: u64,
    families: &'a mut Vec<Family>,
}

impl Readings<'_> {
    fn unsigned(&mut self, name: &str, number: u64) {
        self.number(name, Number::Unsigned(number));
    }

    fn float(&mut self, name: &str, number: f64) {
        self.number(name, Number::Float(number));
    }

    fn number(&mut self, name: &str, number: Number) {
        self.labelled(name, [(Vec::new(), number)]);
    }

    /// A family with one label.
    fn each<'b>(
        &mut self,
        name: &str,
        label: &'static str,
        numbers: impl IntoIterator<Item = (&'b str, u64)>,
    ) {
        let numbers = numbers.into_iter();
        self.labelled(
            name,
            numbers.map(|(value, number)| (vec![pair(label, value)], Number::Unsigned(number))),
        );
    }

    fn labelled(&mut self, name: &str, points: impl IntoIterator<Item = (Vec<KeyValue>, Number)>) {
        let values = points
            .into_iter()
            .map(|(labels, number)| (labels, Value::Number { number, example: None }))
            .collect();
        self.add(name, values);
    }

    fn histogram(&mut self, name: &str, histogram: HistogramValue) {
        self.add(name, vec![(Vec::new(), Value::Histogram(histogram))]);
    }

    fn add(&mut self, name: &str, values: Vec<(Vec<KeyValue>, Value)>) {
        // What is not in the table is not served; a test sees to it that all is.
        let Some(row) = TABLE.iter().find(|row| row.name == name) else { return };
        let point = |(labels, value)| Point {
            labels: Arc::new(LabelSet::new(labels, &self.common.defaults)),
            start_nanos: self.start_nanos,
            value,
        };
        let points = values.into_iter().map(point).collect();
        self.families.push(Family { definition: Arc::new(row.definition()), points });
    }
}

/// Something that the table's families are read from.
pub(super) trait Read: Send + Sync {
    fn read(&self, readings: &mut Readings<'_>);
}

/// Puts what is read under the table's names.
pub(super) struct Own<R> {
    source: R,
    common: Common,
    start_nanos: u64,
}

impl<R: Read> Own<R> {
    pub(super) fn new(source: R, common: &Common) -> Self {
        Self { source, common: common.clone(), start_nanos: unix_nanos() }
    }
}

impl<R: Read> Source for Own<R> {
    fn read(&self, families: &mut Vec<Family>) {
        let Self { source, common, start_nanos } = self;
        source.read(&mut Readings { common, start_nanos: *start_nanos, families });
    }
}

/// What this process has lost and delivered of its metrics, and which SDK it is.
pub(super) struct Account {
    pub(super) common: Common,
    pub(super) pushes: Arc<PushLedger>,
}

impl Read for Account {
    fn read(&self, readings: &mut Readings<'_>) {
        let version = pair("version", env!("CARGO_PKG_VERSION"));
        readings.labelled("spanline_build_info", [(vec![version], Number::Unsigned(1))]);
        readings.each("spanline_metric_pushes_total", "result", self.pushes.by_result());
        let losses = &self.common.losses;
        for (name, count) in [
            ("spanline_metric_points_rejected_total", &self.pushes.rejected_points),
            ("spanline_metric_overflows_total", &losses.overflow),
            ("spanline_metric_values_refused_total", &losses.invalid),
            ("spanline_metric_conflicts_total", &losses.conflicts),
            ("spanline_metrics_scrapers_refused_total", &losses.refused_scrapers),
        ] {
            readings.unsigned(name, count.load(Ordering::Relaxed));
        }
    }
}

/// What became of lines and spans, told by those who keep the account.
#[derive(Debug, Default)]
pub(crate) struct LedgerReading {
    pub(crate) lines_emitted: u64,
    pub(crate) lines_written: u64,
    pub(crate) lines_queued: u64,
    pub(crate) lines_dropped: Vec<(&'static str, u64)>,
    pub(crate) spans_ended: u64,
    pub(crate) spans_exported: u64,
    pub(crate) spans_queued: u64,
    pub(crate) spans_dropped: Vec<(&'static str, u64)>,
    /// How long the receiver took, by outcome.
    pub(crate) span_exports: Vec<TimingReading>,
    pub(crate) panics: u64,
}

/// Asks for the account with each snapshot.
pub(super) struct Ledgers<F> {
    told: F,
    pushes: Arc<PushLedger>,
    bounds: Arc<Bounds>,
}

impl<F> Ledgers<F> {
    pub(super) fn new(told: F, pushes: Arc<PushLedger>) -> Self {
        Self { told, pushes, bounds: Arc::new(Bounds::new(TIMING_BOUNDS)) }
    }

    fn timing(&self, signal: &'static str, reading: TimingReading) -> (Vec<KeyValue>, Value) {
        let TimingReading { outcome, counts, sum } = reading;
        let histogram = HistogramValue {
            bounds: Arc::clone(&self.bounds),
            examples: vec![None; counts.len()],
            counts,
            sum: sum.as_secs_f64(),
        };
        (vec![pair("signal", signal), pair("outcome", outcome)], Value::Histogram(histogram))
    }
}

impl<F: Fn() -> LedgerReading + Send + Sync> Read for Ledgers<F> {
    fn read(&self, readings: &mut Readings<'_>) {
        let told = (self.told)();
        for (name, count) in [
            ("spanline_lines_emitted_total", told.lines_emitted),
            ("spanline_lines_written_total", told.lines_written),
            ("spanline_lines_queued", told.lines_queued),
            ("spanline_spans_ended_total", told.spans_ended),
            ("spanline_spans_exported_total", told.spans_exported),
            ("spanline_spans_queued", told.spans_queued),
            ("spanline_panics_total", told.panics),
        ] {
            readings.unsigned(name, count);
        }
        readings.each("spanline_lines_dropped_total", "reason", told.lines_dropped);
        readings.each("spanline_spans_dropped_total", "reason", told.spans_dropped);
        let of_spans = told.span_exports.into_iter().map(|reading| self.timing("traces", reading));
        let pushes = self.pushes.timings.read().into_iter();
        let pushes = pushes.map(|reading| self.timing("metrics", reading));
        readings.add("spanline_sdk_export_duration_seconds", of_spans.chain(pushes).collect());
    }
}

#[cfg(test)]
mod tests;

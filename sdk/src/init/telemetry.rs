//! Telemetry that runs: what it can be asked, and how it ends.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use tokio::runtime::Handle;

use crate::log::{LineLedger, Lines};
use crate::metrics::{Metrics, Registry};
use crate::signals;
use crate::trace::{SpanLedger, Spans};
use crate::vars::LONGEST;

/// The part of the shutdown's time that is kept for the last log lines.
const LINES_RESERVE: Duration = Duration::from_millis(250);

/// What was started, for those who end the process without the `Telemetry` at hand.
static STARTED: OnceLock<Arc<Started>> = OnceLock::new();
/// Telemetry that runs. Its drop does what [`shutdown`](Self::shutdown) does.
#[must_use = "telemetry ends when this is dropped: keep it until the end of `main`"]
#[derive(Debug)]
pub struct Telemetry {
    pub(super) started: Arc<Started>,
}

/// The account of everything that was to leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Log lines.
    pub lines: LineLedger,
    /// Spans.
    pub spans: SpanLedger,
    /// Panics that were seen, and written as a line each.
    pub panics: u64,
}

pub(super) struct Started {
    lines: Lines,
    spans: Spans,
    pub(super) metrics: Metrics,
    shutdown_timeout: Duration,
    /// Locked while a shutdown runs, so that a second one waits for the first.
    is_down: Mutex<bool>,
}

// === impl Telemetry ===

impl Telemetry {
    /// The registry of the service's own metrics.
    pub fn registry(&self) -> &Registry {
        self.started.metrics.registry()
    }

    /// Answers `GET /metrics`, for a service that would rather serve its metrics on a port that it has:
    /// OpenMetrics 1.0 with exemplars to those who ask for it, the text format 0.0.4 to others.
    ///
    /// ```
    /// # let telemetry = spanline::init("checkout");
    /// let app: axum::Router = axum::Router::new().nest("/prometheus", telemetry.metrics_router());
    /// ```
    pub fn metrics_router(&self) -> Router {
        self.started.metrics.router()
    }

    /// Watches a tokio runtime for the families `spanline_tokio_…` and `spanline_scheduling_lag_…`, in place of
    /// the one that was watched. By itself it is the runtime in which `init` or [`serve`](crate::serve()) was
    /// called first.
    ///
    /// A task of it sleeps for 100 ms at a time, to see how late it wakes.
    pub fn watch_runtime(&self, runtime: &Handle) {
        self.started.metrics.watch_runtime(runtime);
    }

    /// Where the listener of `/metrics` is found, if there is one: 0.0.0.0:9464 unless
    /// `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT` say otherwise.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.started.metrics.address()
    }

    /// The account of all lines and spans, exact at every moment.
    pub fn ledger(&self) -> Ledger {
        let Started { lines, spans, .. } = &*self.started;
        Ledger { lines: lines.ledger(), spans: spans.ledger(), panics: lines.panics() }
    }

    /// Writes the lines and delivers the spans that wait now; `false` if that took longer than `timeout`.
    /// It blocks its thread, as [`shutdown`](Self::shutdown) does.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout.min(LONGEST);
        let Started { lines, spans, .. } = &*self.started;
        // Both are asked, whatever the first answers.
        let (spans, lines) = (spans.flush(deadline), lines.flush(deadline));
        spans && lines
    }

    /// Delivers what waits and ends telemetry, within one deadline for all of it (5 s unless
    /// [`Builder::shutdown_timeout`](crate::Builder::shutdown_timeout) says otherwise). What is left then is dropped and counted.
    ///
    /// It may be called more than once, from any thread, inside a runtime or without one. It blocks its
    /// thread, and nothing else: the exporter and the writer have threads of their own. Of several calls at once,
    /// each returns when telemetry is down.
    ///
    /// What ends the process without it (`std::process::exit`, `abort`, a signal that nobody handles) hangs
    /// nowhere, and loses what waits: spans of the last second or so (`OTEL_BSP_SCHEDULE_DELAY`) while the agent
    /// answers, and lines of the last few milliseconds while the output is read.
    pub fn shutdown(&self) {
        self.started.shutdown(self.started.deadline());
    }

    /// From now on SIGTERM and SIGINT shut telemetry down and end the process, for programs without
    /// [`serve`](crate::serve()): a worker, a command, a server of another kind.
    ///
    /// The exit code is 128 + the signal's number, as a shell would say it, and `main` does not go on: destructors
    /// do not run. A second signal ends the process at once. A thread of our own sees the signals, so no runtime
    /// is needed, and none that is blocked stands in the way. In a container it also makes the first process end at
    /// SIGTERM, which the kernel does not do for it.
    ///
    /// A program that has to tidy up when it is told to stop listens for the signals itself, as
    /// [`tokio::signal`] does, and lets `main` return: the drop of `Telemetry` then flushes.
    ///
    /// ```no_run
    /// let telemetry = spanline::init("mailer");
    /// telemetry.shutdown_on_signal()?;
    /// loop {
    ///     tracing::info!("sent a mail");
    ///     std::thread::sleep(std::time::Duration::from_secs(1));
    /// }
    /// # #[allow(unreachable_code)]
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// The system has no thread for it, or the signals cannot be listened for.
    pub fn shutdown_on_signal(&self) -> io::Result<()> {
        let started = Arc::clone(&self.started);
        let registration = signals::on_first(Box::new(move |number| {
            let deadline = started.deadline();
            let end = move || {
                started.shutdown(deadline);
                signals::exit_after(number);
            };
            // Not here, where the second signal is waited for. Without a thread it ends at once.
            if thread::Builder::new().name("spanline-shutdown".to_owned()).spawn(end).is_err() {
                signals::exit_after(number);
            }
        }))?;
        registration.keep();
        Ok(())
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Ends what `init` has started in this process, by a deadline; nothing to do if nothing was.
pub(crate) fn shutdown_started(deadline: Instant) {
    if let Some(started) = STARTED.get() {
        started.shutdown(deadline);
    }
}

/// Waits for the lines so far, as long as a shutdown would; nothing to wait for if nothing was started.
pub(super) fn flush_started_lines() {
    if let Some(started) = STARTED.get() {
        started.lines.flush(started.deadline());
    }
}

/// Watches the runtime of this thread, unless one is watched.
pub(crate) fn watch_current_runtime() {
    if let Some(started) = STARTED.get() {
        started.metrics.watch_current_runtime();
    }
}

/// How long the shutdown may take, if something was started.
pub(crate) fn shutdown_timeout() -> Option<Duration> {
    STARTED.get().map(|started| started.shutdown_timeout)
}

// === impl Started ===

impl Started {
    pub(super) fn new(
        lines: Lines,
        spans: Spans,
        metrics: Metrics,
        shutdown_timeout: Duration,
    ) -> Self {
        Self { lines, spans, metrics, shutdown_timeout, is_down: Mutex::new(false) }
    }

    /// Makes it the one that `serve` ends; `false` if there is one already.
    pub(super) fn remember(self: &Arc<Self>) -> bool {
        STARTED.set(Arc::clone(self)).is_ok()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shutdown_timeout
    }

    fn shutdown(&self, deadline: Instant) {
        let mut is_down = self.is_down.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_down {
            return;
        }
        let spans_deadline = deadline.checked_sub(LINES_RESERVE).unwrap_or(deadline);
        self.metrics.begin_shutdown(spans_deadline);
        self.spans.shutdown(spans_deadline);
        let dropped = self.spans.ledger().dropped.shutdown;
        if dropped > 0 {
            tracing::warn!(
                target: "spanline", dropped,
                "spans were dropped at the end: they could not be delivered before the shutdown's deadline"
            );
        }
        self.metrics.shutdown(spans_deadline);
        self.lines.shutdown(deadline);
        *is_down = true;
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("lines", &self.lines).finish_non_exhaustive()
    }
}

//! Starts telemetry: the one place that sets global state, and the one that takes it down.

mod gate;
mod lines;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use opentelemetry::global;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::Sampler;
use tokio::runtime::Handle;
#[cfg(feature = "testing")]
use tracing::Dispatch;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::{Config, MAX_SHUTDOWN_TIMEOUT, Overrides, Propagation, Secret};
use crate::endpoint::OtlpProtocol;
use crate::error::{Fault, InitError};
use crate::http::Current;
use crate::log::{self, LineLedger, Lines, LogFormat, LogOutput, LogSettings};
use crate::metrics::{self, LedgerReading, Metrics, Registry, RequestMetrics};
use crate::resource::{self, Speaker};
use crate::signals;
use crate::span::Tracer;
use crate::trace::{self, SpanLedger, Spans};
use crate::vars::{Environment, Reader, Vars};
use gate::Gate;

/// The part of the shutdown's time that is kept for the last log lines.
const LINES_RESERVE: Duration = Duration::from_millis(250);

/// What was started, for those who end the process without the `Telemetry` at hand.
static STARTED: OnceLock<Arc<Started>> = OnceLock::new();

/// Starts telemetry for the service `name` with the settings of the environment.
///
/// It never fails: a setting that cannot be used is told in a log line of level WARN, and its default is
/// used. [`Builder::try_init`] returns the faults instead.
///
/// Keep what it returns until the end of `main`: its drop flushes.
///
/// ```
/// let _telemetry = spanline::init("checkout");
/// tracing::info!(sku = 12, "added item");
/// ```
pub fn init(name: &str) -> Telemetry {
    builder(name).init()
}

/// Settings in code, which win over those of the environment.
///
/// ```
/// use spanline::{LogFormat, LogOutput};
/// let _telemetry = spanline::builder("checkout")
///     .log_format(LogFormat::Json)
///     .log_output(LogOutput::Stderr)
///     .init();
/// ```
pub fn builder(name: &str) -> Builder {
    Builder { name: name.to_owned(), overrides: Overrides::default() }
}

/// A way in which a trace goes on from one service to the next; see [`Builder::propagators`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Propagator {
    /// `traceparent` and `tracestate`, as W3C Trace Context has them (`tracecontext`).
    TraceContext,
    /// `baggage`, as W3C Baggage has it (`baggage`).
    Baggage,
}

/// Made by [`builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing starts before `init` or `try_init`"]
pub struct Builder {
    name: String,
    overrides: Overrides,
}

/// Telemetry that runs. Its drop does what [`shutdown`](Self::shutdown) does.
#[must_use = "telemetry ends when this is dropped: keep it until the end of `main`"]
#[derive(Debug)]
pub struct Telemetry {
    started: Arc<Started>,
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

struct Started {
    lines: Lines,
    spans: Spans,
    metrics: Metrics,
    shutdown_timeout: Duration,
    /// Locked while a shutdown runs, so that a second one waits for the first.
    is_down: Mutex<bool>,
}

impl Builder {
    /// How log lines are written; `SPANLINE_LOG_FORMAT` otherwise, and [`LogFormat::Text`] by default.
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.overrides.line_options.template = None;
        self.overrides.line_options.own = None;
        self.overrides.log_format = Some(format);
        self
    }

    /// Where log lines go; `SPANLINE_LOG_OUTPUT` otherwise, and [`LogOutput::Stdout`] by default.
    pub fn log_output(mut self, output: LogOutput) -> Self {
        self.overrides.log_output = Some(output);
        self
    }

    /// How many bytes of lines may wait for an output that is slow or stuck; `SPANLINE_LOG_QUEUE_BYTES` otherwise,
    /// and 8 MiB by default. It is at least one line.
    pub fn log_queue_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_queue_bytes = Some(bytes);
        self
    }

    /// How many of these only WARN and ERROR may use, which explain the flood that fills the rest;
    /// `SPANLINE_LOG_RESERVED_BYTES` otherwise, and 1 MiB by default.
    pub fn log_reserved_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_reserved_bytes = Some(bytes);
        self
    }

    /// A log file that would grow beyond so many bytes is renamed, and another one begun;
    /// `SPANLINE_LOG_FILE_BYTES` otherwise, and 10 MiB by default. A line is never torn for it.
    pub fn log_file_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_file_bytes = Some(bytes);
        self
    }

    /// How many renamed log files are kept, at least 1; `SPANLINE_LOG_FILES_KEPT` otherwise, and 5 by default.
    pub fn log_files_kept(mut self, count: usize) -> Self {
        self.overrides.log_files_kept = Some(count);
        self
    }

    /// Which events become lines, in the syntax of `RUST_LOG`, which is read otherwise; `info` by default.
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.overrides.log_filter = Some(directives.into());
        self
    }

    /// Which `tracing` spans become OpenTelemetry spans, in the same syntax; `SPANLINE_TRACE_FILTER`
    /// otherwise, and `info` by default. Requests' spans are never filtered.
    pub fn trace_filter(mut self, directives: impl Into<String>) -> Self {
        self.overrides.trace_filter = Some(directives.into());
        self
    }

    /// Where spans go, such as `http://127.0.0.1:4318`; the environment says it otherwise.
    pub fn otlp_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.overrides.otlp_endpoint = Some(endpoint.into());
        self
    }

    /// How spans are sent; `OTEL_EXPORTER_OTLP_PROTOCOL` otherwise, and HTTP by default.
    pub fn otlp_protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.overrides.otlp_protocol = Some(protocol);
        self
    }

    /// Sends a header with every request to the receiver, such as one that authorizes it; it wins over one of
    /// the same name in `OTEL_EXPORTER_OTLP_HEADERS`. Its value is never printed.
    pub fn otlp_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.otlp_headers.push((name.into(), Secret(value.into())));
        self
    }

    /// How long one try may take; `OTEL_EXPORTER_OTLP_TIMEOUT` otherwise, and 3 s by default.
    pub fn otlp_timeout(mut self, timeout: Duration) -> Self {
        self.overrides.otlp_timeout = Some(timeout);
        self
    }

    /// Whether requests are packed; `OTEL_EXPORTER_OTLP_COMPRESSION` otherwise, and not by default: the agent
    /// is near.
    pub fn otlp_gzip(mut self, pack: bool) -> Self {
        self.overrides.otlp_gzip = Some(pack);
        self
    }

    /// What is taken from callers and told to those that are called; `OTEL_PROPAGATORS` otherwise, and all
    /// of them by default.
    pub fn propagators(mut self, propagators: &[Propagator]) -> Self {
        self.overrides.propagation = Some(Propagation {
            trace_context: propagators.contains(&Propagator::TraceContext),
            baggage: propagators.contains(&Propagator::Baggage),
        });
        self
    }

    /// Which traces are recorded; `OTEL_TRACES_SAMPLER` otherwise, and all of them by default.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.overrides.sampler = Some(sampler);
        self
    }

    /// Copies every log event into its span as well, as a span event; otherwise it is a line only, which leads to
    /// its span by the ids.
    pub fn copy_events_to_spans(mut self, copy: bool) -> Self {
        self.overrides.copies_events = copy;
        self
    }

    /// Makes no `tracing` span where the active span is not sampled, which then costs little more than asking.
    ///
    /// Off by default, because a span that is not made is no span at all to whoever holds it: its
    /// `context()` is empty, and a span that names it as its explicit parent begins a trace of its own. What is
    /// made with `parent: None`, or `parent:` a sampled span, is not made either. Lines carry the ids of the active
    /// span just the same.
    pub fn skip_unsampled_spans(mut self, skip: bool) -> Self {
        self.overrides.skips_unsampled = skip;
        self
    }

    /// Says more about who is speaking; `OTEL_RESOURCE_ATTRIBUTES` wins over it.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.resource_attributes.push((key.into(), value.into()));
        self
    }

    /// Where `/metrics` is served; `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT` otherwise, and 0.0.0.0:9464 by
    /// default. Port 0 is any free one, which [`Telemetry::metrics_addr`] then tells.
    pub fn metrics_addr(mut self, address: SocketAddr) -> Self {
        self.overrides.metrics_address = Some(address);
        self
    }

    /// Pushes metrics by OTLP this often, as well as serving them; `otlp` in `OTEL_METRICS_EXPORTER` and
    /// `OTEL_METRIC_EXPORT_INTERVAL` otherwise, and no pushes by default.
    pub fn push_metrics(mut self, interval: Duration) -> Self {
        self.overrides.metrics_push_interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Puts a prefix such as `shop_` before the name of every metric that the service registers. The names that
    /// conventions and libraries give are left as they are, since dashboards know them.
    pub fn metric_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.overrides.metric_prefix = prefix.into();
        self
    }

    /// Puts a label on every series, unless it has one of the name itself.
    pub fn metric_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.metric_labels.push((name.into(), value.into()));
        self
    }

    /// The version of the service (`service.version`), such as `env!("CARGO_PKG_VERSION")`.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.resource_attribute("service.version", version)
    }

    /// The group of services that this one belongs to (`service.namespace`); within it, `service.name` is
    /// unique.
    pub fn service_namespace(self, namespace: impl Into<String>) -> Self {
        self.resource_attribute("service.namespace", namespace)
    }

    /// How long the shutdown may take for everything together; 5 s by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.overrides.shutdown_timeout = Some(timeout);
        self
    }

    /// Starts telemetry whatever is wrong with the settings; see [`init`].
    pub fn init(self) -> Telemetry {
        let (plan, faults) = self.plan(&Environment);
        let told = |fault: Fault| format!("{fault}; {}", fault.instead);
        let mut complaints: Vec<String> = faults.into_iter().map(told).collect();
        let started = plan.start_somehow(&mut complaints);
        for complaint in complaints {
            tracing::warn!(target: "spanline", "{complaint}");
        }
        Telemetry { started }
    }

    /// Starts telemetry, or says everything that stands in the way; nothing is started then.
    ///
    /// # Errors
    /// [`InitError::Settings`] with every setting that cannot be used; [`InitError::SubscriberIsSet`] when
    /// the process has a `tracing` subscriber already; an output or a thread that cannot be had.
    pub fn try_init(self) -> Result<Telemetry, InitError> {
        let (plan, faults) = self.plan(&Environment);
        if !faults.is_empty() {
            return Err(InitError::Settings(faults));
        }
        if tracing::dispatcher::has_been_set() {
            return Err(InitError::SubscriberIsSet);
        }
        Ok(Telemetry { started: plan.start()? })
    }

    fn plan(&self, vars: &dyn Vars) -> (Plan, Vec<Fault>) {
        let mut reader = Reader::new(vars);
        let config = Config::read(&self.overrides, &mut reader);
        let attributes = &self.overrides.resource_attributes;
        let speaker = resource::speaker(&self.name, attributes, &mut reader);
        let mut faults = reader.into_faults();
        faults.extend(gate::faults(&config));
        faults.extend(metrics::faults(&config.metrics));
        (Plan { config, speaker }, faults)
    }
}

/// What is to be started.
struct Plan {
    config: Config,
    speaker: Speaker,
}

impl Plan {
    fn start(self) -> Result<Arc<Started>, InitError> {
        let (layer, lines) = log::start(self.log_settings()).map_err(InitError::Output)?;
        let resource = self.speaker.resource.clone();
        let spans =
            trace::start(&self.config, &resource, console(&lines)).map_err(InitError::Exporter)?;
        let metrics = Metrics::new(&self.config.metrics, &self.speaker.resource);
        if !install(&self.config, layer, &lines, &spans, &metrics) {
            // Another thread was faster; what was started for nothing ends.
            spans.shutdown(Instant::now());
            lines.shutdown(Instant::now());
            return Err(InitError::SubscriberIsSet);
        }
        Ok(self.remember(lines, spans, metrics))
    }

    /// Goes without whatever cannot be had, and says so.
    fn start_somehow(self, complaints: &mut Vec<String>) -> Arc<Started> {
        let mut settings = self.log_settings();
        let (layer, lines) = log::start(settings.clone())
            .or_else(|error| {
                complaints.push(format!(
                    "log lines cannot go to {}: {error}; they go to stdout until SPANLINE_LOG_OUTPUT names \
                     an output that can be opened",
                    settings.output
                ));
                settings.output = LogOutput::default();
                log::start(settings.clone())
            })
            .unwrap_or_else(|error| {
                complaints.push(format!("there is no thread to write log lines: {error}; they are dropped"));
                log::without_writer(&settings)
            });
        let resource = self.speaker.resource.clone();
        let spans =
            trace::start(&self.config, &resource, console(&lines)).unwrap_or_else(|error| {
                complaints
                    .push(format!("there is no thread to export spans: {error}; they are dropped"));
                trace::without_exporter(&self.config)
            });
        let metrics = Metrics::new(&self.config.metrics, &self.speaker.resource);
        if !install(&self.config, layer, &lines, &spans, &metrics) {
            complaints.push(
                "this process has a tracing subscriber already, which keeps its lines and spans; call init \
                 once, and before any other"
                    .to_owned(),
            );
        }
        self.remember(lines, spans, metrics)
    }

    fn log_settings(&self) -> LogSettings {
        LogSettings {
            format: self.config.log_format,
            options: self.config.line_options.clone(),
            output: self.config.log_output.clone(),
            queue_bytes: self.config.log_queue_bytes,
            reserved_bytes: self.config.log_reserved_bytes,
            file_bytes: self.config.log_file_bytes,
            files_kept: self.config.log_files_kept,
            ..LogSettings::new(self.speaker.service_name.as_str())
        }
    }

    fn remember(self, lines: Lines, spans: Spans, metrics: Metrics) -> Arc<Started> {
        let (of_lines, of_spans) = (lines.clone(), spans.clone());
        metrics.tell_ledgers(move || reading(&of_lines, &of_spans));
        let started = Arc::new(Started {
            lines,
            spans,
            metrics,
            shutdown_timeout: self.config.shutdown_timeout,
            is_down: Mutex::new(false),
        });
        // A second start in one process is not the one that `serve` ends; its own drop ends it. Nor does it
        // serve metrics: the first one has the port.
        if STARTED.set(Arc::clone(&started)).is_ok() {
            started.metrics.watch_current_runtime();
            started.metrics.start(&self.config.metrics, &self.speaker.resource);
        }
        started
    }
}

/// The account, as the metrics tell it.
fn reading(lines: &Lines, spans: &Spans) -> LedgerReading {
    let panics = lines.panics();
    let (lines, spans) = (lines.ledger(), spans.ledger());
    LedgerReading {
        lines_emitted: lines.emitted,
        lines_written: lines.written,
        lines_queued: lines.queued,
        lines_dropped: lines.dropped.by_reason().into(),
        spans_ended: spans.ended,
        spans_exported: spans.exported,
        spans_queued: spans.queued,
        spans_dropped: spans.dropped.by_reason().into(),
        panics,
    }
}

/// Sets everything global; nothing, and `false`, if the process has a `tracing` subscriber already.
fn install(
    config: &Config,
    lines_layer: log::LineLayer,
    lines: &Lines,
    spans: &Spans,
    metrics: &Metrics,
) -> bool {
    let tracer = spans.provider().tracer("spanline");
    let subscriber = subscriber(config, lines_layer, tracer, metrics.of_requests());
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        return false;
    }
    global::set_tracer_provider(spans.provider().clone());
    global::set_meter_provider(metrics.meters());
    global::set_text_map_propagator(propagator(config.http.propagation));
    // Fails only if another logger is set, which then keeps the events of the `log` crate.
    drop(tracing_log::LogTracer::init());
    log::install_panic_hook(lines);
    true
}

/// Spans are printed where lines are.
fn console(lines: &Lines) -> trace::Console {
    let lines = lines.clone();
    Box::new(move |span| lines.print_span(span))
}

/// For code of others that asks for the process's propagator; our own layers read headers themselves.
fn propagator(propagation: Propagation) -> TextMapCompositePropagator {
    let mut propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
    if propagation.trace_context {
        propagators.push(Box::new(TraceContextPropagator::new()));
    }
    if propagation.baggage {
        propagators.push(Box::new(BaggagePropagator::new()));
    }
    TextMapCompositePropagator::new(propagators)
}

/// What takes every event and `tracing` span of the process.
fn subscriber(
    config: &Config,
    lines: log::LineLayer,
    tracer: Tracer,
    requests: RequestMetrics,
) -> impl Subscriber + Send + Sync + use<> {
    let open_telemetry = tracing_opentelemetry::layer()
        .with_tracer(tracer.clone())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false);
    let current = Current::new(tracer, config.http.clone(), requests);
    tracing_subscriber::registry().with(open_telemetry).with(current).with(Gate::new(config, lines))
}

/// The parts of a service's telemetry, with nothing that carries lines and spans away, and nothing global.
#[cfg(feature = "testing")]
pub(crate) struct Parts {
    pub(crate) dispatch: Dispatch,
    pub(crate) lines: Lines,
    pub(crate) spans: Spans,
    pub(crate) metrics: Metrics,
}

/// For tests: wired as [`Builder::init`] does it, so that a test sees what the service would do.
#[cfg(feature = "testing")]
pub(crate) fn parts(builder: &Builder, vars: &dyn Vars) -> Result<Parts, Vec<Fault>> {
    let (plan, faults) = builder.plan(vars);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (layer, lines) = log::kept(LogSettings { format: LogFormat::Json, ..plan.log_settings() });
    let spans = trace::kept(&plan.config);
    let metrics = Metrics::new(&plan.config.metrics, &plan.speaker.resource);
    let tracer = spans.provider().tracer("spanline");
    let dispatch = subscriber(&plan.config, layer, tracer, metrics.of_requests()).into();
    let (of_lines, of_spans) = (lines.clone(), spans.clone());
    metrics.tell_ledgers(move || reading(&of_lines, &of_spans));
    Ok(Parts { dispatch, lines, spans, metrics })
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
        let deadline = Instant::now() + timeout.min(MAX_SHUTDOWN_TIMEOUT);
        let Started { lines, spans, .. } = &*self.started;
        // Both are asked, whatever the first answers.
        let (spans, lines) = (spans.flush(deadline), lines.flush(deadline));
        spans && lines
    }

    /// Delivers what waits and ends telemetry, within one deadline for all of it (5 s unless
    /// [`Builder::shutdown_timeout`] says otherwise). What is left then is dropped and counted.
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

impl Started {
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

//! Starts telemetry: the one place that sets global state. `builder` has the settings that code gives, `gate`
//! filters, `telemetry` is what runs then, and takes everything down.

mod builder;
mod gate;
mod logger;
mod telemetry;

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::global;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
#[cfg(feature = "testing")]
use tracing::Dispatch;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::{Config, Overrides, Propagation};
use crate::error::{Fault, InitError};
use crate::http::Current;
#[cfg(feature = "testing")]
use crate::log::LogFormat;
use crate::log::{self, Lines, LogOutput, LogSettings};
use crate::metrics::{self, LedgerReading, Metrics, RequestMetrics};
use crate::resource::{self, Speaker};
use crate::span::Tracer;
use crate::trace::{self, Spans};
use crate::vars::{Environment, Reader, Vars};
use gate::Gate;
#[cfg(feature = "testing")]
pub(crate) use logger::install as install_logger;
use telemetry::Started;

pub use builder::{Builder, Propagator};
pub use telemetry::{Ledger, Telemetry};
pub(crate) use telemetry::{shutdown_started, shutdown_timeout, watch_current_runtime};

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

impl Builder {
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
    /// the process has a `tracing` subscriber already; an output or a thread that cannot be had. That `/metrics`
    /// cannot be served, since its port is taken, is no error but a line of level WARN.
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
        let of_console = lines.clone();
        let print = Box::new(move |sample: &str| of_console.print_sample(sample));
        let started = Arc::new(Started::new(lines, spans, metrics, self.config.shutdown_timeout));
        // A second start in one process is not the one that `serve` ends; its own drop ends it. Nor does it
        // serve metrics: the first one has the port.
        if started.remember() {
            started.metrics.watch_current_runtime();
            started.metrics.start(&self.config.metrics, &self.speaker.resource, print);
        }
        started
    }
}

/// The account, as the metrics tell it.
fn reading(lines: &Lines, spans: &Spans) -> LedgerReading {
    let panics = lines.panics();
    let span_exports = spans.timings().read();
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
        span_exports,
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
    logger::install();
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
pub(crate) fn subscriber(
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

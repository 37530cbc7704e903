//! The one file that knows all stages. It builds them from the end of the way to its beginning, and
//! stops them in the other direction, so that nothing is ever handed to a stage that is not there.

mod error;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use self::error::BuildError;

use crate::config::{self, Config};
use crate::export::prometheus::{self, Prometheus};
use crate::export::{self, ExportError, Exporter};
use crate::fanout::Fanout;
use crate::health::{self, Readiness};
use crate::queue;
use crate::receive::Receivers;
use crate::record::Batch;
use crate::self_metrics::SelfMetrics;
use crate::serve::Listener;
use crate::sink::Sink;
use crate::state_lock::StateLock;
use crate::store::{self, Store, WriteError};
use crate::tail::{self, Tailer};
use crate::{pod_logs, web};

/// What the sources may take to stop, counted from the signal.
const SOURCES_STOPPED: Duration = Duration::from_millis(1_500);
/// What the tailer among them may take to read what is there and hear that it was delivered.
const TAILER_STOPPED: Duration = Duration::from_millis(1_300);
/// When what is still queued is given up.
const QUEUES_DRAINED: Duration = Duration::from_millis(3_500);
/// When exporters that do not even give up are left behind.
const EXPORTERS_LEFT: Duration = Duration::from_millis(3_700);
/// When the store has committed what it was given, or is left to its next start.
const STORE_CLOSED: Duration = Duration::from_millis(4_000);
/// When the last listeners are gone.
const ALL_STOPPED: Duration = Duration::from_millis(4_700);
/// The content type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The store's name as an exporter.
const STORE: &str = "spanline_store";
/// The name of the exporter that scrapers read.
const PROMETHEUS: &str = "prometheus";

/// An agent with all its ports bound, not yet running.
pub struct Agent {
    listeners: Listeners,
    /// The way from the sources to the queues.
    sink: Arc<dyn Sink>,
    queued: Vec<Queued>,
    tailer: Option<Tailer>,
    web: Router,
    prometheus: Router,
    store: Option<Store>,
    metrics: Arc<SelfMetrics>,
    // Held until everything has stopped.
    _state: StateLock,
}

/// What stands behind the sources.
struct Stages {
    outputs: Vec<Output>,
    web: Router,
    prometheus: Router,
    store: Option<Store>,
}

/// An exporter, and what it is for.
struct Output {
    name: &'static str,
    exporter: Box<dyn Exporter>,
    signals: Signals,
}

/// An exporter, and the queue before it.
struct Queued {
    name: &'static str,
    exporter: Box<dyn Exporter>,
    items: queue::Receiver,
}

/// Which signals an exporter takes.
struct Signals {
    logs: bool,
    traces: bool,
    metrics: bool,
}

struct Listeners {
    otlp_http: Listener,
    otlp_grpc: Listener,
    health: Listener,
    self_metrics: Listener,
    prometheus: Listener,
    web: Listener,
}

impl Agent {
    /// Locks the state directory, binds every port and opens the store: what is wrong shows here,
    /// not later.
    ///
    /// # Errors
    /// When the state directory cannot be written or another agent holds it, when a port cannot
    /// be bound, or when the store cannot be opened.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        Self::with_stages(config, |metrics, web| {
            let store = store::Config {
                directory: config.store_dir(),
                max_bytes: config.store_max_bytes,
                cluster: config.cluster.clone(),
            };
            let store = Store::open(store, Arc::clone(&metrics)).map_err(BuildError::Store)?;
            let scraped = Prometheus::new(PROMETHEUS, prometheus::Settings::default(), metrics);
            let prometheus = scraped.router();
            let outputs = vec![
                Output {
                    name: STORE,
                    exporter: Box::new(ToStore(store.clone())),
                    signals: Signals { logs: true, traces: true, metrics: true },
                },
                Output {
                    name: PROMETHEUS,
                    exporter: Box::new(scraped),
                    signals: Signals { logs: false, traces: false, metrics: true },
                },
            ];
            let web = web::router(store.clone(), web);
            Ok(Stages { outputs, web, prometheus, store: Some(store) })
        })
        .await
    }

    async fn with_stages(
        config: &Config,
        open: impl FnOnce(Arc<SelfMetrics>, SocketAddr) -> Result<Stages, BuildError>,
    ) -> Result<Self, BuildError> {
        let state = StateLock::take(&config.state_dir)
            .map_err(|error| BuildError::state(&config.state_dir, error))?;
        let listeners = Listeners::bind(config).await?;
        let metrics = Arc::new(SelfMetrics::new());
        let Stages { outputs, web, prometheus, store } =
            open(Arc::clone(&metrics), listeners.web.address())?;
        let (sink, queued) = queues(outputs, &metrics);
        let tailer = tailer(config, &sink, &metrics)?;
        Ok(Self { listeners, sink, queued, tailer, web, prometheus, store, metrics, _state: state })
    }

    /// Where OTLP/HTTP is received.
    pub fn otlp_http_addr(&self) -> SocketAddr {
        self.listeners.otlp_http.address()
    }

    /// Where OTLP/gRPC is received.
    pub fn otlp_grpc_addr(&self) -> SocketAddr {
        self.listeners.otlp_grpc.address()
    }

    /// Where the page and the read API are.
    pub fn web_addr(&self) -> SocketAddr {
        self.listeners.web.address()
    }

    /// Where the probes are answered.
    pub fn health_addr(&self) -> SocketAddr {
        self.listeners.health.address()
    }

    /// Where the agent's own metrics are.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.listeners.self_metrics.address()
    }

    /// Where scrapers read the metrics that came by OTLP.
    pub fn prometheus_addr(&self) -> SocketAddr {
        self.listeners.prometheus.address()
    }

    /// The agent's own metrics.
    pub fn metrics(&self) -> Arc<SelfMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Runs until `shutdown` ends, then stops: sources first, then queues, then the rest. Takes
    /// less than five seconds to stop, whatever is under way; what is lost by that is counted.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { listeners, sink, queued, tailer, web, prometheus, store, metrics, _state } =
            self;
        let (stop_sources, sources_stopped) = watch::channel(false);
        let (stop_rest, rest_stopped) = watch::channel(false);
        let (give_up, given_up) = watch::channel(false);

        let (mut exporters, mut sources, mut rest) =
            (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for Queued { name, exporter, items } in queued {
            let (metrics, given_up) = (Arc::clone(&metrics), given_up.clone());
            exporters.spawn(async move {
                export::run(name, exporter.as_ref(), items, &metrics, given_up).await;
            });
        }
        let readiness = Readiness::default();
        listeners.announce();
        rest.spawn(listeners.web.serve(web, rest_stopped.clone()));
        rest.spawn(listeners.prometheus.serve(prometheus, rest_stopped.clone()));
        rest.spawn(listeners.health.serve(health::router(readiness.clone()), rest_stopped.clone()));
        rest.spawn(listeners.self_metrics.serve(metrics_router(&metrics), rest_stopped));

        match tailer {
            Some(tailer) => drop(sources.spawn(tailer.run(sources_stopped.clone()))),
            None => tracing::info!("there are no pod logs here to tail; --pods names their folder"),
        }
        let receivers = Receivers::new(sink, Arc::clone(&metrics));
        sources.spawn(listeners.otlp_http.serve(receivers.http(), sources_stopped.clone()));
        sources.spawn(listeners.otlp_grpc.serve(receivers.grpc(), sources_stopped));
        drop(receivers);
        readiness.set(true);

        shutdown.await;
        let asked = Instant::now();
        tracing::info!("stopping: sources first, then what is queued");
        readiness.set(false);

        let _ = stop_sources.send(true);
        // What holds the sink ends here, so the queues see their end.
        finish(sources, asked + SOURCES_STOPPED).await;
        if !join_all(&mut exporters, asked + QUEUES_DRAINED).await {
            tracing::warn!("what is still queued is given up; the agent's metrics count it");
            let _ = give_up.send(true);
            finish(exporters, asked + EXPORTERS_LEFT).await;
        }
        if let Some(store) = store {
            let _ = timeout_at(asked + STORE_CLOSED, store.close()).await;
        }
        let _ = stop_rest.send(true);
        finish(rest, asked + ALL_STOPPED).await;
        tracing::info!(after = ?asked.elapsed(), "stopped");
    }
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, BuildError> {
        Ok(Self {
            otlp_http: listener("OTLP/HTTP", config.otlp_http, config::OTLP_HTTP_PORT).await?,
            otlp_grpc: listener("OTLP/gRPC", config.otlp_grpc, config::OTLP_GRPC_PORT)
                .await?
                .http2_only(),
            health: listener("health", config.health, config::HEALTH_PORT).await?,
            self_metrics: listener(
                "the agent's own metrics",
                config.self_metrics,
                config::SELF_METRICS_PORT,
            )
            .await?,
            prometheus: listener(
                "the Prometheus exporter",
                config.prometheus,
                config::PROMETHEUS_PORT,
            )
            .await?,
            web: listener("the page", config.web, config::WEB_PORT).await?,
        })
    }

    fn announce(&self) {
        for (what, listener) in [
            ("OTLP/gRPC", &self.otlp_grpc),
            ("OTLP/HTTP", &self.otlp_http),
            ("health", &self.health),
            ("the agent's own metrics", &self.self_metrics),
            ("the Prometheus exporter", &self.prometheus),
            ("the page", &self.web),
        ] {
            tracing::info!(address = %listener.address(), "listening for {what}");
        }
    }
}

async fn listener(
    what: &'static str,
    address: SocketAddr,
    port: config::Port,
) -> Result<Listener, BuildError> {
    let variable = port.variable;
    Listener::bind(address).await.map_err(|source| BuildError::Bind {
        what,
        address,
        variable,
        source,
    })
}

/// A queue for each exporter, and the sink that feeds them.
fn queues(outputs: Vec<Output>, metrics: &Arc<SelfMetrics>) -> (Arc<dyn Sink>, Vec<Queued>) {
    let mut fanout = Fanout {
        logs: Vec::new(),
        traces: Vec::new(),
        metrics: Vec::new(),
        self_metrics: Arc::clone(metrics),
    };
    let mut queued = Vec::new();
    for Output { name, exporter, signals } in outputs {
        let (queue, items) = queue::bounded(name, queue::DEFAULT_CAPACITY_BYTES, metrics);
        let takers = [
            (signals.logs, &mut fanout.logs),
            (signals.traces, &mut fanout.traces),
            (signals.metrics, &mut fanout.metrics),
        ];
        for (takes, queues) in takers {
            if takes {
                queues.push(queue.clone());
            }
        }
        queued.push(Queued { name, exporter, items });
    }
    (Arc::new(fanout), queued)
}

fn tailer(
    config: &Config,
    sink: &Arc<dyn Sink>,
    metrics: &Arc<SelfMetrics>,
) -> Result<Option<Tailer>, BuildError> {
    let Some(pods_dir) = config.pods_dir.clone() else { return Ok(None) };
    let checkpoint_dir = config.checkpoint_dir();
    let tail = tail::Config {
        pods_dir,
        checkpoint_dir,
        stop_timeout: TAILER_STOPPED,
        ..tail::Config::default()
    };
    let parsers = pod_logs::parser_factory(metrics);
    let tailer = Tailer::new(tail, Arc::clone(sink), Arc::clone(metrics), parsers);
    tailer.map(Some).map_err(BuildError::Tail)
}

fn metrics_router(metrics: &Arc<SelfMetrics>) -> Router {
    let metrics = Arc::clone(metrics);
    let text = move || async move {
        metrics
            .encode()
            .map(|text| ([(CONTENT_TYPE, OPENMETRICS)], text))
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    };
    Router::new().route("/metrics", get(text))
}

/// Waits for all tasks; false when the deadline came first.
async fn join_all(tasks: &mut JoinSet<()>, deadline: Instant) -> bool {
    timeout_at(deadline, async { while tasks.join_next().await.is_some() {} }).await.is_ok()
}

/// Waits for all tasks, and ends those that are still there at the deadline.
async fn finish(mut tasks: JoinSet<()>, deadline: Instant) {
    if !join_all(&mut tasks, deadline).await {
        tasks.shutdown().await;
    }
}

/// The store, as an exporter.
struct ToStore(Store);

impl Exporter for ToStore {
    fn export(
        &self,
        batch: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async {
            self.0.write(batch).await.map_err(|error| match error {
                WriteError::TooLarge { .. } => ExportError::TooLarge,
                error if error.is_retryable() => ExportError::Unreachable(error.to_string()),
                error => ExportError::Refused(error.to_string()),
            })
        })
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("otlp_http", &self.otlp_http_addr())
            .field("otlp_grpc", &self.otlp_grpc_addr())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

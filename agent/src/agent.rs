//! The one file that knows all stages: it builds them, sinks before sources, and stops them in reverse.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::config::Config;
use crate::export::{self, ExportError, Exporter};
use crate::fanout::Fanout;
use crate::health::{self, Readiness};
use crate::queue;
use crate::receive::{self, Intake};
use crate::record::Batch;
use crate::self_metrics::SelfMetrics;
use crate::serve;
use crate::sink::Sink;
use crate::store::{self, Store, StoreError, WriteError};
use crate::tail::{self, TailError, Tailer};
use crate::{pod_logs, web};

/// The store's name in metrics and messages.
const STORE: &str = "spanline_store";
/// How long the queues may take to drain once the sources have stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the sources may take to stop: the tailer reads what is there and waits for its acks.
const SOURCES_TIMEOUT: Duration = Duration::from_millis(1_500);

/// An agent whose ports are bound and whose store is open; it takes nothing before [`run`](Self::run).
pub struct Agent {
    listeners: Listeners,
    tailer: Option<Tailer>,
    store: Store,
    exporter: queue::Receiver,
    fanout: Arc<Fanout>,
    metrics: Arc<SelfMetrics>,
}

struct Listeners {
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    health: TcpListener,
    self_metrics: TcpListener,
    web: TcpListener,
}

/// Why an agent could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// A listener's address cannot be had.
    Bind {
        /// What would have listened there.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The folder for state cannot be used.
    State {
        /// The folder.
        directory: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The store cannot be opened.
    Store(StoreError),
    /// The tailer cannot start.
    Tail(TailError),
}

impl Agent {
    /// Binds every port and opens the store.
    ///
    /// # Errors
    /// A port that is taken, a folder that cannot be written or that another agent uses; the error names it
    /// and the remedy.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        let listeners = Listeners::bind(config).await?;
        let state = |cause| BuildError::State { directory: config.state_dir.clone(), cause };
        std::fs::create_dir_all(config.checkpoint_dir()).map_err(state)?;
        let metrics = Arc::new(SelfMetrics::new());
        let store_config = store::Config {
            max_bytes: config.store_max_bytes,
            cluster: config.cluster.clone(),
            ..store::Config::new(config.store_dir())
        };
        let store =
            Store::open(store_config, Arc::clone(&metrics)).map_err(BuildError::Store)?;
        let (sender, exporter) = queue::bounded(STORE, queue::DEFAULT_CAPACITY_BYTES, &metrics);
        let fanout = Arc::new(Fanout {
            logs: vec![sender.clone()],
            traces: vec![sender],
            metrics: Vec::new(),
            self_metrics: Arc::clone(&metrics),
        });
        let tailer = match &config.pods_dir {
            None => None,
            Some(pods_dir) => {
                let tail = tail::Config::new(pods_dir, config.checkpoint_dir());
                let sink: Arc<dyn Sink> = Arc::clone(&fanout) as Arc<dyn Sink>;
                let metrics = Arc::clone(&metrics);
                let tailer = Tailer::new(tail, sink, metrics, pod_logs::parser_factory());
                Some(tailer.map_err(BuildError::Tail)?)
            }
        };
        Ok(Self { listeners, tailer, store, exporter, fanout, metrics })
    }

    /// Where OTLP/gRPC is received.
    pub fn otlp_grpc_addr(&self) -> Option<SocketAddr> {
        self.listeners.otlp_grpc.local_addr().ok()
    }

    /// Where OTLP/HTTP is received.
    pub fn otlp_http_addr(&self) -> Option<SocketAddr> {
        self.listeners.otlp_http.local_addr().ok()
    }

    /// Where the page and the read API are served.
    pub fn web_addr(&self) -> Option<SocketAddr> {
        self.listeners.web.local_addr().ok()
    }

    /// Where probes are answered.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.listeners.health.local_addr().ok()
    }

    /// Where the agent's own metrics are served.
    pub fn self_metrics_addr(&self) -> Option<SocketAddr> {
        self.listeners.self_metrics.local_addr().ok()
    }

    /// Runs until `stop_asked` is done, then drains: sources first, then queues, then the store.
    pub async fn run(self, stop_asked: impl Future<Output = ()>) {
        let Self { listeners, tailer, store, exporter, fanout, metrics } = self;
        listeners.announce(tailer.is_some());
        let readiness = Readiness::default();
        let (stop_sources, sources_stopped) = watch::channel(false);
        let (stop_readers, readers_stopped) = watch::channel(false);

        let exporting = tokio::spawn({
            let (store, metrics) = (store.clone(), Arc::clone(&metrics));
            async move { export::run(STORE, &ToStore(store), exporter, &metrics).await }
        });

        let web_addr = listeners.web.local_addr().unwrap_or(([127, 0, 0, 1], 0).into());
        let mut readers = JoinSet::new();
        for (listener, router) in [
            (listeners.health, health::router(readiness.clone())),
            (listeners.self_metrics, self_metrics_router(Arc::clone(&metrics))),
            (listeners.web, web::router(store.clone(), web_addr)),
        ] {
            readers.spawn(serve::until_stopped(listener, router, readers_stopped.clone()));
        }

        let intake = Intake::new(Arc::clone(&fanout) as Arc<dyn Sink>, Arc::clone(&metrics));
        let mut sources = JoinSet::new();
        for (listener, router) in [
            (listeners.otlp_grpc, receive::grpc_router(intake.clone())),
            (listeners.otlp_http, receive::http_router(intake)),
        ] {
            sources.spawn(serve::until_stopped(listener, router, sources_stopped.clone()));
        }
        if let Some(tailer) = tailer {
            sources.spawn(tailer.run(sources_stopped));
        }

        readiness.set(true);
        stop_asked.await;
        tracing::info!("stopping: taking nothing more, storing what is here");
        readiness.set(false);
        let _ = stop_sources.send(true);
        within(SOURCES_TIMEOUT, "sources", async { while sources.join_next().await.is_some() {} })
            .await;
        drop(sources);
        // The last sender: the exporter ends when its queue is empty.
        drop(fanout);
        drain(exporting).await;
        store.close().await;
        let _ = stop_readers.send(true);
        within(DRAIN_TIMEOUT, "readers", async { while readers.join_next().await.is_some() {} })
            .await;
        tracing::info!("stopped");
    }
}

async fn drain(exporting: JoinHandle<()>) {
    let handle = exporting.abort_handle();
    if !within(DRAIN_TIMEOUT, "queues", async { drop(exporting.await) }).await {
        handle.abort();
    }
}

/// Waits for a part to end, and says so if it does not in time.
async fn within(timeout: Duration, what: &str, part: impl Future<Output = ()>) -> bool {
    let is_done = tokio::time::timeout(timeout, part).await.is_ok();
    if !is_done {
        tracing::warn!("the {what} did not stop within {timeout:?}; what they hold is given up");
    }
    is_done
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, BuildError> {
        Ok(Self {
            otlp_grpc: bind("OTLP over gRPC", config.otlp_grpc).await?,
            otlp_http: bind("OTLP over HTTP", config.otlp_http).await?,
            health: bind("health", config.health).await?,
            self_metrics: bind("the agent's own metrics", config.self_metrics).await?,
            web: bind("the page", config.web).await?,
        })
    }

    fn announce(&self, is_tailing: bool) {
        for (what, listener) in [
            ("OTLP over gRPC", &self.otlp_grpc),
            ("OTLP over HTTP", &self.otlp_http),
            ("health", &self.health),
            ("the agent's own metrics", &self.self_metrics),
            ("the page", &self.web),
        ] {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "listening for {what}");
            }
        }
        if !is_tailing {
            tracing::info!("no folder of pod logs here; --pods names one");
        }
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, BuildError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|cause| BuildError::Bind { what, address, cause })
}

/// The store stands as an exporter.
struct ToStore(Store);

impl Exporter for ToStore {
    fn export(
        &self,
        batch: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async move {
            self.0.write(batch).await.map_err(|error: WriteError| {
                let why = error.to_string();
                if error.is_retryable() {
                    ExportError::Unreachable(why)
                } else {
                    ExportError::Refused(why)
                }
            })
        })
    }
}

fn self_metrics_router(metrics: Arc<SelfMetrics>) -> Router {
    let encode = move || {
        let metrics = Arc::clone(&metrics);
        async move {
            let text = metrics.encode().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            Ok::<_, StatusCode>(([(CONTENT_TYPE, content_type)], text))
        }
    };
    Router::new().route("/metrics", get(encode))
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { what, address, cause } if cause.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "{address}, where {what} would be, is taken: stop what listens there, or choose another port"
            ),
            Self::Bind { what, address, cause } => {
                write!(f, "cannot listen on {address} for {what}: {cause}")
            }
            Self::State { directory, cause } => write!(
                f,
                "the folder {} cannot be used: {cause}; --state names another",
                directory.display()
            ),
            Self::Store(cause) => write!(f, "the store cannot be opened: {cause}"),
            Self::Tail(cause) => write!(f, "pod logs cannot be tailed: {cause}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Bind { cause, .. } | Self::State { cause, .. } => Some(cause),
            Self::Store(cause) => Some(cause),
            Self::Tail(cause) => Some(cause),
        }
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("web", &self.web_addr()).finish_non_exhaustive()
    }
}

//! The one file that knows all stages, with `build.rs` below it. They are built from the end of the way to its
//! beginning, and stop in the other direction, so that nothing is ever handed to a stage that is not there.

mod build;
mod error;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use self::error::BuildError;

use self::build::Builder;
use crate::accept::Format;
use crate::config::{Config, Delivery};
use crate::export::{self, Answer, ExportError, Exporter, Exporting};
use crate::health::Readiness;
use crate::process::Batcher;
use crate::queue;
use crate::record::Batch;
use crate::self_metrics::SelfMetrics;
use crate::serve::Listener;
use crate::state_lock::StateLock;
use crate::store::{Store, WriteError};
use crate::tail::Tailer;

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

/// An agent with all its ports bound, not yet running.
pub struct Agent {
    /// What telemetry is sent to. With these and the tailers the way to the queues ends.
    sources: Vec<Served>,
    /// What is served until the end.
    rest: Vec<Served>,
    queued: Vec<Queued>,
    tailers: Vec<Tailer>,
    /// The work of `batch` processors: between the sources and the queues.
    batchers: Vec<Batcher>,
    stores: Vec<Store>,
    metrics: Arc<SelfMetrics>,
    readiness: Readiness,
    // Held until everything has stopped.
    _locks: Vec<StateLock>,
}

/// A listener, and what it will serve.
struct Served {
    /// The keys that lead to it in the configuration.
    what: String,
    listener: Listener,
    router: Router,
}

/// An exporter, and the queue before it.
struct Queued {
    name: String,
    exporter: Box<dyn Exporter>,
    items: queue::Receiver,
    delivery: Delivery,
}

impl Agent {
    /// Locks the folders, opens the exporters and binds every port: what is wrong shows here, not later.
    ///
    /// # Errors
    /// When a folder cannot be written or another agent holds it, when a port cannot be bound, or when the store
    /// cannot be opened.
    pub async fn build(config: &Config) -> Result<Self, BuildError> {
        Builder::new(config).build(&mut |component, builder| builder.open(component)).await
    }

    /// Where something is served: the keys that lead to it, such as `receivers::otlp::grpc` or
    /// `extensions::health_check`, and the address with the port that it got.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        let served = self.sources.iter().chain(&self.rest);
        served.map(|served| (served.what.as_str(), served.listener.address()))
    }

    /// One of the addresses.
    pub fn address(&self, what: &str) -> Option<SocketAddr> {
        self.addresses().find(|(served, _)| *served == what).map(|(_, address)| address)
    }

    /// The agent's own metrics.
    pub fn metrics(&self) -> Arc<SelfMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Runs until `shutdown` ends, then stops: sources first, then queues, then the rest. Takes
    /// less than five seconds to stop, whatever is under way; what is lost by that is counted.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        for (what, address) in self.addresses() {
            tracing::info!(%address, "listening for {what}");
        }
        let Self {
            sources: served,
            rest: beside,
            queued,
            tailers,
            batchers,
            stores,
            metrics,
            readiness,
            _locks,
        } = self;
        let (stop_sources, sources_stopped) = watch::channel(false);
        let (stop_rest, rest_stopped) = watch::channel(false);
        let (give_up, given_up) = watch::channel(false);

        let (mut exporters, mut sources, mut rest) =
            (JoinSet::new(), JoinSet::new(), JoinSet::new());
        for Queued { name, exporter, items, delivery } in queued {
            let (metrics, given_up) = (Arc::clone(&metrics), given_up.clone());
            exporters.spawn(async move {
                export::run(&name, exporter.as_ref(), items, delivery, &metrics, given_up).await;
            });
        }
        for batcher in batchers {
            exporters.spawn(batcher.run(given_up.clone()));
        }
        for Served { listener, router, .. } in beside {
            rest.spawn(listener.serve(router, rest_stopped.clone()));
        }
        for tailer in tailers {
            sources.spawn(tailer.run(sources_stopped.clone()));
        }
        for Served { listener, router, .. } in served {
            sources.spawn(listener.serve(router, sources_stopped.clone()));
        }
        readiness.set(true);

        shutdown.await;
        let asked = Instant::now();
        tracing::info!("stopping: sources first, then what is queued");
        readiness.set(false);

        let _ = stop_sources.send(true);
        // What holds the way to the queues ends here, so the queues see their end.
        finish(sources, asked + SOURCES_STOPPED).await;
        if !join_all(&mut exporters, asked + QUEUES_DRAINED).await {
            tracing::warn!("what is still queued is given up; the agent's metrics count it");
            let _ = give_up.send(true);
            finish(exporters, asked + EXPORTERS_LEFT).await;
        }
        for store in stores {
            let _ = timeout_at(asked + STORE_CLOSED, store.close()).await;
        }
        let _ = stop_rest.send(true);
        finish(rest, asked + ALL_STOPPED).await;
        tracing::info!(after = ?asked.elapsed(), "stopped");
    }
}

fn metrics_router(metrics: &Arc<SelfMetrics>) -> Router {
    let metrics = Arc::clone(metrics);
    let answer = move |headers: HeaderMap| async move {
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let format = Format::from_accept(accept, true);
        let text = match format {
            Format::OpenMetrics => metrics.encode(),
            Format::Text => metrics.encode_text(),
        };
        let vary = (VARY, HeaderValue::from_static("accept"));
        text.map(|text| ([(CONTENT_TYPE, format.content_type()), vary], text))
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    };
    Router::new().route("/metrics", get(answer))
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
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async {
            let written = self.0.write(batch).await.map_err(|error| match error {
                WriteError::TooLarge { .. } => ExportError::TooLarge,
                error if error.is_retryable() => ExportError::Unreachable(error.to_string()),
                error => ExportError::Refused(error.to_string()),
            });
            written.map(|()| Answer::default())
        })
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.addresses()).finish()
    }
}

#[cfg(test)]
mod tests;

//! Metrics: one registry, and the ways out of it.
//!
//! A number is kept by an instrument (`counter`, `gauge`, `histogram`, in pieces by `shard`, with an
//! `exemplar`), one for each `series` of a `family`; metrics of prometheus-client are read by `prometheus`,
//! those of the OpenTelemetry API come in by `meter`. `registry` has them all, and takes a `snapshot`, from
//! which `text` writes what a scraper reads, and `otlp` what is pushed. Names are translated in `name`, and
//! nowhere else.

mod bounds;
mod counter;
mod definition;
mod error;
mod exemplar;
mod expose;
mod family;
mod gauge;
mod histogram;
pub(crate) mod http;
mod instrument;
mod labels;
mod ledger;
mod meter;
mod name;
mod otlp;
mod own;
mod polls;
mod prometheus;
mod push;
mod registry;
mod rpc;
mod series;
mod shard;
mod snapshot;
mod text;

pub use counter::Counter;
pub use error::RegisterError;
pub use exemplar::Exemplar;
pub use family::Family;
pub use gauge::Gauge;
pub use histogram::Histogram;
pub(crate) use polls::Polled;
pub use registry::Registry;
pub(crate) use rpc::{CallRecorder, EndedCall};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use opentelemetry_sdk::Resource;
use tokio::runtime::Handle;

use crate::config::MetricsConfig;
use crate::error::Fault;
use expose::Listener;
use ledger::PushLedger;
use meter::RegistryMeters;
pub(crate) use own::LedgerReading;
use own::{Account, Ledgers, Process, WatchedRuntime};
pub(crate) use push::Console;
use push::Push;

/// The metrics of a process.
pub(crate) struct Metrics {
    registry: Registry,
    ways: Mutex<Ways>,
    pushes: Arc<PushLedger>,
    runtime: Arc<WatchedRuntime>,
}

/// What the layers of requests record in.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    pub(crate) server: http::Recorder,
    pub(crate) client: http::Recorder,
    /// Of gRPC.
    pub(crate) server_calls: CallRecorder,
    pub(crate) client_calls: CallRecorder,
}

/// The ways out that are open.
#[derive(Debug, Default)]
struct Ways {
    listener: Option<Listener>,
    pushes: Vec<Push>,
}

impl Metrics {
    pub(crate) fn new(config: &MetricsConfig, resource: &Resource) -> Self {
        let registry = Registry::new(config, resource);
        let pushes = Arc::<PushLedger>::default();
        let runtime = Arc::new(WatchedRuntime::new(registry.common()));
        for definition in own::definitions() {
            registry.take_names(&definition);
        }
        registry.add_own(Process::new());
        #[cfg(feature = "jemalloc")]
        registry.add_own(own::Allocator::new());
        registry.add_own(Arc::clone(&runtime));
        let common = registry.common().clone();
        registry.add_own(Account { common, pushes: Arc::clone(&pushes) });
        Self { registry, ways: Mutex::default(), pushes, runtime }
    }

    /// Tells what became of lines and spans.
    pub(crate) fn tell_ledgers(&self, ledgers: impl Fn() -> LedgerReading + Send + Sync + 'static) {
        self.registry.add_own(Ledgers::new(ledgers, Arc::clone(&self.pushes)));
    }

    /// Watches the runtime of this thread, if there is one and none is watched.
    pub(crate) fn watch_current_runtime(&self) {
        if let Ok(handle) = Handle::try_current()
            && !self.runtime.is_watching()
        {
            self.runtime.watch(&handle);
        }
    }

    /// Watches a runtime, in place of the one that was.
    pub(crate) fn watch_runtime(&self, handle: &Handle) {
        self.runtime.watch(handle);
    }

    /// What the layers of requests record in; made once.
    pub(crate) fn of_requests(&self) -> RequestMetrics {
        RequestMetrics {
            server: http::Recorder::of_server(&self.registry),
            client: http::Recorder::of_client(&self.registry),
            server_calls: CallRecorder::new("server", &self.registry),
            client_calls: CallRecorder::new("client", &self.registry),
        }
    }

    /// Opens the ways out. One that cannot be opened is told in a line, and the service runs on.
    pub(crate) fn start(&self, config: &MetricsConfig, resource: &Resource, print: Console) {
        let mut ways = self.ways();
        if let Some(address) = config.listen {
            match Listener::start(address, config.security.clone(), self.registry.clone()) {
                Ok(listener) => ways.listener = Some(listener),
                Err(error) => tracing::warn!(
                    target: "spanline",
                    "metrics cannot be served on {address}: {error}; a scraper will not find this process until \
                     OTEL_EXPORTER_PROMETHEUS_PORT names a port that is free, or OTEL_METRICS_EXPORTER=none \
                     says that none comes"
                ),
            }
        }
        let by_otlp = config.push.as_ref().map(|push| {
            Push::by_otlp(push, resource, self.registry.clone(), Arc::clone(&self.pushes))
        });
        let to_console =
            config.console.map(|every| Push::to_console(every, self.registry.clone(), print));
        for push in by_otlp.into_iter().chain(to_console) {
            match push {
                Ok(push) => ways.pushes.push(push),
                Err(error) => tracing::warn!(
                    target: "spanline", %error, "there is no thread to push metrics; they are not pushed"
                ),
            }
        }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// For the libraries that use the OpenTelemetry API.
    pub(crate) fn meters(&self) -> RegistryMeters {
        RegistryMeters::new(self.registry.clone())
    }

    /// Answers `GET /metrics`.
    pub(crate) fn router(&self) -> Router {
        expose::router(self.registry.clone())
    }

    /// Where a scraper finds them.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.ways().listener.as_ref().map(Listener::address)
    }

    /// Asks for the last push of each way, which can be on its way while others are waited for.
    pub(crate) fn begin_shutdown(&self, deadline: Instant) {
        for push in &mut self.ways().pushes {
            push.begin_to_stop(deadline);
        }
    }

    /// Closes the ways out, once the last pushes have been made or the deadline has passed.
    pub(crate) fn shutdown(&self, deadline: Instant) {
        self.runtime.stop();
        let Ways { listener, pushes } = std::mem::take(&mut *self.ways());
        for push in pushes {
            push.wait(deadline);
        }
        if let Some(mut listener) = listener {
            listener.stop(deadline);
        }
    }
}

/// What the builder said that cannot be a name.
pub(crate) fn faults(config: &MetricsConfig) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !config.prefix.is_empty() && !name::is_metric_name(&config.prefix) {
        let accepted = "letters, digits, _ and :, and no digit first";
        faults.push(Fault::new("Builder::metric_prefix", config.prefix.as_str(), accepted));
    }
    for (label, _) in &config.labels {
        if !name::is_label_name(label) {
            let accepted = "letters, digits and _, no digit first, no __ first";
            faults.push(Fault::new("Builder::metric_label", label.as_str(), accepted));
        }
    }
    faults
}

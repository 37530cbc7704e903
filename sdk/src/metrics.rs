//! Metrics: one registry, and the ways out of it.
//!
//! A number is kept by an instrument (`counter`, `gauge`, `histogram`, in pieces by `shard`, with an
//! `exemplar`), one for each `series` of a `family`; metrics of prometheus-client are read by `prometheus`,
//! those of the OpenTelemetry API come in by `meter`. `registry` has them all, and takes a `snapshot`, from
//! which `text` writes what a scraper reads, and `otlp` what is pushed. Names are translated in `name`, and
//! nowhere else.

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
mod meter;
mod name;
#[cfg(test)]
mod otlp;
mod prometheus;
mod registry;
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
pub use registry::Registry;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use opentelemetry_sdk::Resource;

use crate::config::MetricsConfig;
use crate::error::Fault;
use expose::Listener;
use meter::RegistryMeters;

/// The metrics of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    listener: Mutex<Option<Listener>>,
}

impl Metrics {
    pub(crate) fn new(config: &MetricsConfig, resource: &Resource) -> Self {
        Self { registry: Registry::new(config, resource), listener: Mutex::default() }
    }

    /// Lets the HTTP layers record here; the first to ask has them.
    pub(crate) fn install(&self) {
        http::install(&self.registry);
    }

    /// Opens the ways out. One that cannot be opened is told in a line, and the service runs on.
    pub(crate) fn start(&self, config: &MetricsConfig) {
        let Some(address) = config.listen else { return };
        match Listener::start(address, self.registry.clone()) {
            Ok(listener) => {
                *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
            }
            Err(error) => tracing::warn!(
                target: "spanline",
                "metrics cannot be served on {address}: {error}; a scraper will not find this process until \
                 OTEL_EXPORTER_PROMETHEUS_PORT names a port that is free, or OTEL_METRICS_EXPORTER=none \
                 says that none comes"
            ),
        }
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
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.as_ref().map(Listener::address)
    }

    /// Closes the ways out.
    pub(crate) fn shutdown(&self, deadline: Instant) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
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

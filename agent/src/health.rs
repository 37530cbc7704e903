//! Whether the agent lives and is ready, for probes: `/`, `/livez`, `/readyz`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;

/// Whether the agent takes data at this moment.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// The agent takes data, or it does no longer.
    pub fn set(&self, ready: bool) {
        // Nothing is published by it: a probe may see the change a moment later.
        self.0.store(ready, Ordering::Relaxed);
    }
}

/// The probes' answers.
pub fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/", get(ready))
        .route("/readyz", get(ready))
        .route("/livez", get(|| async { "alive\n" }))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.0.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n")
    }
}

//! OTLP in: gRPC and HTTP, for traces, metrics and logs.
//!
//! ```text
//! http.rs ─┐                       ┌─ scan.rs   how much memory will it take?
//!          ├─ body.rs ─ intake.rs ─┼─ decode.rs, json.rs   → OTLP's messages
//! grpc.rs ─┘                       ├─ logs.rs, spans.rs   → a batch
//!                                  └─ the sink  → accepted, or come back later
//! ```
//!
//! A sender is answered once its batch is in the queues. Everything read is bounded before it is
//! held: see `limits.rs`.

mod body;
mod decode;
mod grpc;
mod http;
mod intake;
mod limits;
mod logs;
mod refusal;
mod rpc_status;
mod scan;
mod signal;
mod sorted;
mod spans;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use axum::Router;

use crate::config::Signal;
use crate::otlp_json as json;
use crate::self_metrics::SelfMetrics;
use crate::sink::Sink;

use self::intake::Intake;

/// The OTLP receivers, as routers to be served on the ports for them.
#[derive(Debug, Clone)]
pub struct Receivers {
    intake: Arc<Intake>,
    signals: Vec<Signal>,
}

impl Receivers {
    /// Receivers that hand what they take of `signals` to `sink`; for the others there is nobody at home.
    pub fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>, signals: &[Signal]) -> Self {
        Self { intake: Arc::new(Intake::new(sink, metrics)), signals: signals.to_vec() }
    }

    /// OTLP/HTTP: `/v1/traces`, `/v1/metrics`, `/v1/logs`.
    pub fn http(&self) -> Router {
        http::router(Arc::clone(&self.intake), &self.signals)
    }

    /// OTLP/gRPC: the three collector services. Wants a listener that speaks HTTP/2.
    pub fn grpc(&self) -> Router {
        grpc::router(Arc::clone(&self.intake), &self.signals)
    }
}

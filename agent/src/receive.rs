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
mod json;
mod limits;
mod logs;
mod refusal;
mod rpc_status;
mod scan;
mod signal;
mod spans;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use axum::Router;

use crate::self_metrics::SelfMetrics;
use crate::sink::Sink;

use self::intake::Intake;

/// The OTLP receivers, as routers to be served on the ports for them.
#[derive(Debug, Clone)]
pub struct Receivers {
    intake: Arc<Intake>,
}

impl Receivers {
    /// Receivers that hand what they take to `sink`.
    pub fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>) -> Self {
        Self { intake: Arc::new(Intake::new(sink, metrics)) }
    }

    /// OTLP/HTTP: `/v1/traces`, `/v1/metrics`, `/v1/logs`.
    pub fn http(&self) -> Router {
        http::router(Arc::clone(&self.intake))
    }

    /// OTLP/gRPC: the three collector services. Wants a listener that speaks HTTP/2.
    pub fn grpc(&self) -> Router {
        grpc::router(Arc::clone(&self.intake))
    }
}

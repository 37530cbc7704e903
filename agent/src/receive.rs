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

pub(crate) use self::grpc::denied as denied_by_grpc;
pub(crate) use self::http::denied as denied_by_http;

use self::intake::{Entry, Intake};
use self::limits::USUAL_BODY_BYTES;

/// The OTLP receivers, as routers to be served on the ports for them.
#[derive(Debug, Clone)]
pub struct Receivers {
    entry: Entry,
    signals: Vec<Signal>,
}

impl Receivers {
    /// Receivers that hand what they take of `signals` to `sink`; for the others there is nobody at home.
    pub fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>, signals: &[Signal]) -> Self {
        let intake = Arc::new(Intake::new(sink, metrics));
        let entry = Entry { intake, max_body_bytes: USUAL_BODY_BYTES };
        Self { entry, signals: signals.to_vec() }
    }

    /// The same receivers, which share what they may hold at a time, with another bound for one request's body.
    #[must_use]
    pub fn with_max_body_bytes(&self, max_body_bytes: usize) -> Self {
        let intake = Arc::clone(&self.entry.intake);
        Self { entry: Entry { intake, max_body_bytes }, signals: self.signals.clone() }
    }

    /// OTLP/HTTP: `/v1/traces`, `/v1/metrics`, `/v1/logs`.
    pub fn http(&self) -> Router {
        http::router(self.entry.clone(), &self.signals)
    }

    /// OTLP/gRPC: the three collector services. Wants a listener that speaks HTTP/2.
    pub fn grpc(&self) -> Router {
        grpc::router(self.entry.clone(), &self.signals)
    }
}

//! OTLP comes in: gRPC and HTTP, protobuf and JSON, plain and gzip.
//!
//! The way of a request: its body is read within a limit, `scan` estimates what it will cost to hold,
//! `decode` makes a batch of it and sets aside what no back end could take, and the sink takes the batch
//! or says that it is full. The answer goes out when the batch is queued.

mod decode;
mod grpc;
mod http;
mod scan;
mod signal;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::sync::Arc;

use tokio::sync::Semaphore;

pub use grpc::router as grpc_router;
pub use http::router as http_router;

use crate::ack::Ack;
use crate::record::Batch;
use crate::self_metrics::{RefusedRequest, SelfMetrics, SignalTransport};
use crate::sink::{Delivery, Sink};

/// The largest body, as sent and as unpacked.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// The most memory that a request may take once it is decoded.
pub const MAX_DECODED_BYTES: usize = 128 * 1024 * 1024;
/// Requests that are unpacked and decoded at a time.
const MAX_DECODING: usize = 4;

/// What both transports share.
#[derive(Clone)]
pub struct Intake {
    sink: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
    decoding: Arc<Semaphore>,
}

/// A request, decoded: what can be kept, and how much of it cannot.
struct Decoded {
    batch: Batch,
    /// Roughly the memory that it holds.
    size_bytes: usize,
    rejected: Rejected,
}

/// Items of a request that are not kept, for the sender's partial success.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Rejected {
    items: i64,
    why: &'static str,
}

/// Why a request is refused as a whole.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It cannot be decoded; the text says what is wrong.
    Malformed(String),
    /// Its body, or what becomes of it, is over a limit.
    TooLarge(String),
    /// Nobody has room for it now.
    Full,
    /// The agent is about to end.
    Stopping,
}

impl Intake {
    /// Hands what is received to `sink`.
    pub fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>) -> Self {
        Self { sink, metrics, decoding: Arc::new(Semaphore::new(MAX_DECODING)) }
    }

    /// Decodes off the connection's task, a few requests at a time: memory for decoding is bounded
    /// by their number, and a large body does not hold up the others.
    async fn decode(
        &self,
        work: impl FnOnce() -> Result<Decoded, Refusal> + Send + 'static,
    ) -> Result<Decoded, Refusal> {
        let turn = self.decoding.acquire().await.map_err(|_| Refusal::Stopping)?;
        let decoded = tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::Stopping)?;
        drop(turn);
        decoded
    }

    fn take(&self, decoded: Decoded, transport: &'static str) -> Result<Rejected, Refusal> {
        let Decoded { batch, size_bytes, rejected } = decoded;
        let (signal, items) = (batch.signal(), batch.items() as u64);
        if items > 0 {
            let delivery = Delivery { batch, size_bytes, ack: Ack::nobody() };
            self.sink.try_send(delivery).map_err(|_| Refusal::Full)?;
        }
        let label = SignalTransport { signal, transport };
        self.metrics.receive.accepted.get_or_create(&label).inc_by(items);
        Ok(rejected)
    }

    fn count_refusal(&self, signal: &'static str, transport: &'static str, refusal: &Refusal) {
        let label = RefusedRequest { signal, transport, reason: refusal.reason() };
        self.metrics.receive.refused.get_or_create(&label).inc();
    }
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge(_) => "too_large",
            Self::Full => "queue_full",
            Self::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the request cannot be decoded: {what}"),
            Self::TooLarge(what) => write!(f, "{what}; send smaller batches"),
            Self::Full => f.write_str("the agent's queue is full; send it again later"),
            Self::Stopping => f.write_str("the agent is stopping; send it again later"),
        }
    }
}

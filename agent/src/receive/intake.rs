//! What both protocols do with a body that has been read: decode it, hand it on, count it.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::body::{Budget, ReadBody, gunzip};
use super::decode::{self, Format};
use super::limits::{MAX_DECODING, MAX_INLINE_BYTES};
use super::refusal::Refusal;
use super::signal::Signal;
use super::sorted::Sorted;
use crate::ack::Ack;
use crate::self_metrics::{RefusedRequest, SelfMetrics, SignalTransport};
use crate::sink::{Delivery, Sink};

/// The way in, shared by all requests.
pub(super) struct Intake {
    sink: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
    /// What may be held of bodies that are being read.
    pub(super) budget: Budget,
    /// Turns at unzipping and decoding.
    decoding: Semaphore,
}

/// The way in by one protocol.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) intake: Arc<Intake>,
    /// Bytes of one request's body, as sent and unzipped.
    pub(super) max_body_bytes: usize,
}

/// How a body comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    /// `grpc` or `http`.
    pub(super) transport: &'static str,
    pub(super) format: Format,
    pub(super) gzip: bool,
    /// What it may have when it is unzipped.
    pub(super) max_body_bytes: usize,
}

impl Intake {
    pub(super) fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>) -> Self {
        Self { sink, metrics, budget: Budget::new(), decoding: Semaphore::new(MAX_DECODING) }
    }

    /// Decodes `body` and hands it on.
    pub(super) async fn take<S: Signal>(
        &self,
        wire: Wire,
        body: ReadBody,
    ) -> Result<S::Response, Refusal> {
        // Only small work is done where it stands: it would hold up the thread's other connections.
        let small = !wire.gzip && body.as_slice().len() <= MAX_INLINE_BYTES;
        let (sorted, size_bytes) = if small {
            sort::<S>(wire, body.as_slice())?
        } else {
            let turn = self.decoding.acquire().await.map_err(|_| Refusal::Busy)?;
            let sorted = spawn_blocking(move || sort::<S>(wire, body.as_slice())).await;
            drop(turn);
            // The runtime is about to end, or the decoder panicked on this very body.
            sorted.map_err(|_| Refusal::Busy)??
        };
        let items = sorted.batch.items();
        if items > 0 {
            // A sender of OTLP has its answer from the queue; nobody waits for the exporters.
            let delivery = Delivery { batch: sorted.batch, size_bytes, ack: Ack::nobody() };
            self.sink.try_send(delivery).map_err(|_| Refusal::QueueFull)?;
        }
        let labels = SignalTransport { signal: S::NAME, transport: wire.transport };
        self.metrics.receive.accepted.get_or_create(&labels).inc_by(items as u64);
        Ok(S::response(sorted.rejected))
    }

    /// Counts a refused request.
    pub(super) fn refused<S: Signal>(&self, transport: &'static str, refusal: &Refusal) {
        let labels = RefusedRequest { signal: S::NAME, transport, reason: refusal.reason() };
        self.metrics.receive.refused.get_or_create(&labels).inc();
    }
}

/// The request, sorted, and how much memory it takes.
fn sort<S: Signal>(wire: Wire, body: &[u8]) -> Result<(Sorted, usize), Refusal> {
    let unzipped;
    let body = if wire.gzip {
        unzipped = gunzip(body, wire.max_body_bytes)?;
        &unzipped
    } else {
        body
    };
    let (request, size_bytes) = decode::request::<S>(wire.format, body)?;
    Ok((S::batch(request), size_bytes))
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

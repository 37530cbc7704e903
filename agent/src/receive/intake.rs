//! What both protocols do with a body that has been read: decode it, hand it on, count it.

use std::sync::Arc;

use super::body::{Budget, gunzip};
use super::decode::{self, Format};
use super::refusal::Refusal;
use super::signal::Signal;
use crate::ack::Ack;
use crate::self_metrics::{RefusedRequest, SelfMetrics, SignalTransport};
use crate::sink::{Delivery, Sink};

/// The way in, shared by all requests.
pub(super) struct Intake {
    sink: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
    /// What may be held of bodies that are being read.
    pub(super) budget: Budget,
}

/// How a body comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    /// `grpc` or `http`.
    pub(super) transport: &'static str,
    pub(super) format: Format,
    pub(super) gzip: bool,
}

impl Intake {
    pub(super) fn new(sink: Arc<dyn Sink>, metrics: Arc<SelfMetrics>) -> Self {
        Self { sink, metrics, budget: Budget::new() }
    }

    /// Decodes `body` and hands it on; nothing in here waits, so that what is decompressed and
    /// decoded at one time is bounded by the number of threads.
    pub(super) fn take<S: Signal>(&self, wire: Wire, body: &[u8]) -> Result<S::Response, Refusal> {
        let unzipped;
        let body = if wire.gzip {
            unzipped = gunzip(body)?;
            &unzipped
        } else {
            body
        };
        let (request, size_bytes) = decode::request::<S>(wire.format, body)?;
        let sorted = S::batch(request);
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

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

//! The end of the way: a trait for whatever takes batches, and the loop that feeds it.
//!
//! The loop tries again, with back-off, for as long as the cause may pass; meanwhile its queue
//! fills, and sources wait or tell their senders to. Nothing is given up because it is old: only
//! because the other side will never take it, or because the agent stops.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::queue::{Item, Items};
use crate::record::Batch;
use crate::self_metrics::{SelfMetrics, SignalExporter, SignalReason};

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Takes batches: the embedded store, Loki, Tempo, …
pub trait Exporter: Send + 'static {
    /// Hands over one batch; on success the other side has it for good.
    fn export(
        &mut self,
        batch: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>>;
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportError {
    /// The other side will not take this batch, whenever it is sent.
    Refused(String),
    /// The other side cannot be reached, or cannot take anything at the moment.
    Unreachable(String),
    /// The batch is larger than the other side takes.
    TooLarge,
}

/// How far a stopping agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Failures are tried again.
    Running,
    /// Time is up: what is left is given up and counted.
    GivingUp,
}

/// One exporter and what it needs to run.
pub struct Worker {
    name: String,
    exporter: Box<dyn Exporter>,
    items: Items,
    metrics: Arc<SelfMetrics>,
    phase: watch::Receiver<Phase>,
}

// === impl ExportError ===

impl ExportError {
    /// Whether the same batch may be taken later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(_) | Self::TooLarge => false,
        }
    }

    /// The reason by which a drop is counted.
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::TooLarge => "too_large",
        }
    }
}

impl std::fmt::Display for ExportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::TooLarge => f.write_str("larger than the other side takes"),
        }
    }
}

impl std::error::Error for ExportError {}

// === impl Worker ===

impl Worker {
    /// A worker that feeds `exporter` from `items`; `name` is the exporter's in the configuration.
    pub fn new(
        name: impl Into<String>,
        exporter: Box<dyn Exporter>,
        items: Items,
        metrics: Arc<SelfMetrics>,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        Self { name: name.into(), exporter, items, metrics, phase }
    }

    /// Runs until its queue is closed and empty.
    pub async fn run(mut self) {
        while let Some(item) = self.items.recv().await {
            self.deliver(item).await;
        }
    }

    async fn deliver(&mut self, item: Item) {
        let mut pause = FIRST_PAUSE;
        let mut failing = false;
        let mut phase = self.phase.clone();
        loop {
            let attempt = tokio::select! {
                biased;
                _ = phase.wait_for(|phase| *phase == Phase::GivingUp) => {
                    return self.give_up(item, "shutdown");
                }
                attempt = Self::attempt(self.exporter.as_mut(), &item.batch) => attempt,
            };
            let error = match attempt {
                Ok(()) => {
                    if failing {
                        tracing::info!(exporter = self.name, "the exporter takes batches again");
                    }
                    return self.delivered(item);
                }
                Err(error) => error,
            };
            if !error.is_retryable() {
                tracing::warn!(exporter = self.name, signal = item.batch.signal(), %error,
                    items = item.batch.items(), "a batch is given up: trying again would not help");
                return self.give_up(item, error.reason());
            }
            if !failing {
                failing = true;
                tracing::warn!(exporter = self.name, %error,
                    "the exporter takes nothing; its queue fills meanwhile, trying again");
            }
            tokio::select! {
                () = sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
                _ = phase.wait_for(|phase| *phase == Phase::GivingUp) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A panic of an exporter costs the batch that caused it, and no other.
    async fn attempt(exporter: &mut dyn Exporter, batch: &Arc<Batch>) -> Result<(), ExportError> {
        // The exporter's own state after a panic is its own matter; ours holds none of it.
        let export = AssertUnwindSafe(async { exporter.export(Arc::clone(batch)).await });
        export
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ExportError::Refused("the exporter panicked".to_owned())))
    }

    fn delivered(&self, item: Item) {
        let labels = SignalExporter { signal: item.batch.signal(), exporter: self.name.clone() };
        self.metrics.export.exported.get_or_create(&labels).inc_by(item.batch.items() as u64);
        item.ack.delivered();
    }

    fn give_up(&self, item: Item, reason: &'static str) {
        let labels = SignalReason { signal: item.batch.signal(), reason };
        self.metrics.export.dropped.get_or_create(&labels).inc_by(item.batch.items() as u64);
        item.ack.lost();
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

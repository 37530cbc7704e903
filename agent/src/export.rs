//! From a queue to an exporter, as often as it takes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::queue::{Queued, Receiver};
use crate::record::Batch;
use crate::self_metrics::{SelfMetrics, SignalExporter, SignalReason};

/// Deliveries that are on their way to one exporter at a time. The store commits those that wait
/// together, so a few of them cost little more than one.
const MAX_IN_FLIGHT: usize = 32;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Somewhere batches go.
pub trait Exporter: Send + Sync + 'static {
    /// Delivers a batch; when it answers `Ok`, the batch is safe.
    fn export(
        &self,
        batch: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>>;
}

/// Why a batch could not be delivered.
#[derive(Debug)]
pub enum ExportError {
    /// It will never be taken; the text says why.
    Refused(String),
    /// Nobody was there to take it, or not now; the text says who and why.
    Unreachable(String),
}

impl ExportError {
    /// Whether the same batch may be taken later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
        }
    }
}

impl std::error::Error for ExportError {}

/// Delivers what is queued until the queue has ended and is empty.
///
/// What can be retried is retried without end: the queue behind it fills, and its bound is felt by
/// the sources. What is refused is dropped and counted.
pub async fn run(
    name: &str,
    exporter: &dyn Exporter,
    mut queue: Receiver,
    self_metrics: &SelfMetrics,
) {
    let mut in_flight = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = in_flight.next() => {}
            queued = queue.next(), if in_flight.len() < MAX_IN_FLIGHT => match queued {
                Some(queued) => in_flight.push(deliver(name, exporter, queued, self_metrics)),
                None => break,
            },
        }
    }
    while in_flight.next().await.is_some() {}
}

async fn deliver(name: &str, exporter: &dyn Exporter, queued: Queued, self_metrics: &SelfMetrics) {
    let signal = queued.batch.signal();
    let items = queued.batch.items() as u64;
    let mut pause = FIRST_PAUSE;
    loop {
        match exporter.export(Arc::clone(&queued.batch)).await {
            Ok(()) => {
                let label = SignalExporter { signal, exporter: name.to_owned() };
                self_metrics.export.exported.get_or_create(&label).inc_by(items);
                return queued.ack.delivered();
            }
            Err(error) if error.is_retryable() => {
                // The first of a row says it; the counters of the exporter tell the rest.
                if pause == FIRST_PAUSE {
                    tracing::warn!(
                        exporter = name,
                        error = %error,
                        "could not deliver {signal}; it will be tried again until it can"
                    );
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => {
                let label = SignalReason { signal, reason: "refused" };
                self_metrics.export.dropped.get_or_create(&label).inc_by(items);
                tracing::warn!(exporter = name, error = %error, "dropped {items} items of {signal}");
                return queued.ack.lost();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ack::{Ack, Outcome};
    use crate::queue::bounded;
    use crate::record::SpanBatch;

    /// Answers what it is told, in that order, and then `Ok`.
    struct Scripted(Mutex<Vec<Result<(), ExportError>>>);

    impl Exporter for Scripted {
        fn export(
            &self,
            _: Arc<Batch>,
        ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
            let answer = self.0.lock().unwrap().pop().unwrap_or(Ok(()));
            Box::pin(async { answer })
        }
    }

    async fn outcome_of(script: Vec<Result<(), ExportError>>) -> (Outcome, String) {
        let metrics = SelfMetrics::new();
        let (sender, receiver) = bounded("test", 10_000, &metrics);
        let told = Arc::new(Mutex::new(None));
        let ack = Ack::new({
            let told = Arc::clone(&told);
            move |outcome| *told.lock().unwrap() = Some(outcome)
        });
        let room = sender.try_room(10).unwrap();
        sender.push(room, Arc::new(Batch::Spans(SpanBatch::default())), ack);
        drop(sender);
        run("test", &Scripted(Mutex::new(script)), receiver, &metrics).await;
        let outcome = told.lock().unwrap().unwrap();
        (outcome, metrics.encode().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unreachable_is_tried_until_it_is_there() {
        let away = || Err(ExportError::Unreachable("nobody there".into()));
        let (outcome, _) = outcome_of(vec![away(), away(), away()]).await;
        assert_eq!(outcome, Outcome::Delivered);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_dropped_at_once() {
        let refused = Err(ExportError::Refused("not ours".into()));
        let (outcome, text) = outcome_of(vec![refused]).await;
        assert_eq!(outcome, Outcome::Lost);
        assert!(text.contains("reason=\"refused\""), "{text}");
    }
}

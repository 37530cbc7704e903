//! From a queue to an exporter, as often as it takes.
//!
//! When a stopping agent's time is up, what is left is given up, and counted like every other drop.

pub mod debug;
pub mod otlp;
pub mod prometheus;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

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
    /// It is larger than what is taken there.
    TooLarge,
}

impl ExportError {
    /// Why it is dropped, as metrics label it.
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::TooLarge => "too_large",
        }
    }

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
            Self::TooLarge => f.write_str("larger than what is taken there"),
        }
    }
}

impl std::error::Error for ExportError {}

/// Delivers what is queued until the queue has ended and is empty.
///
/// What can be retried is retried until `give_up` turns true: the queue behind it fills, and its bound
/// is felt by the sources. What is refused is dropped and counted.
pub async fn run(
    name: &str,
    exporter: &dyn Exporter,
    mut queue: Receiver,
    self_metrics: &SelfMetrics,
    give_up: watch::Receiver<bool>,
) {
    let way = Way { name, exporter, self_metrics, give_up };
    let mut in_flight = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = in_flight.next() => {}
            queued = queue.next(), if in_flight.len() < MAX_IN_FLIGHT => match queued {
                Some(queued) => in_flight.push(way.deliver(queued)),
                None => break,
            },
        }
    }
    while in_flight.next().await.is_some() {}
}

/// What all deliveries to one exporter share.
struct Way<'a> {
    name: &'a str,
    exporter: &'a dyn Exporter,
    self_metrics: &'a SelfMetrics,
    give_up: watch::Receiver<bool>,
}

impl Way<'_> {
    async fn deliver(&self, queued: Queued) {
        let mut give_up = self.give_up.clone();
        let delivered = tokio::select! {
            biased;
            // A sender that is gone will never say so; then there is no deadline.
            Ok(_) = give_up.wait_for(|give_up| *give_up) => Err("shutdown"),
            delivered = self.try_until_settled(&queued.batch) => delivered,
        };
        let (signal, items) = (queued.batch.signal(), queued.batch.items() as u64);
        match delivered {
            Ok(()) => {
                let label = SignalExporter { signal, exporter: self.name.to_owned() };
                self.self_metrics.export.exported.get_or_create(&label).inc_by(items);
                queued.ack.delivered();
            }
            Err(reason) => {
                let label = SignalReason { signal, reason };
                self.self_metrics.export.dropped.get_or_create(&label).inc_by(items);
                queued.ack.lost();
            }
        }
    }

    /// Ends when the batch is delivered, or with the reason why it never will be.
    async fn try_until_settled(&self, batch: &Arc<Batch>) -> Result<(), &'static str> {
        let (exporter, signal) = (self.name, batch.signal());
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(error) = self.attempt(batch).await else { return Ok(()) };
            if !error.is_retryable() {
                let items = batch.items();
                tracing::warn!(exporter, %error, "dropped {items} items of {signal}");
                return Err(error.reason());
            }
            // The first of a row says it; the counters of the exporter tell the rest.
            if pause == FIRST_PAUSE {
                tracing::warn!(exporter, %error,
                    "could not deliver {signal}; it will be tried again until it can");
            }
            // Spread over the second half of the pause, so that agents do not come in step.
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A panic of an exporter costs the batch that caused it, and no other.
    async fn attempt(&self, batch: &Arc<Batch>) -> Result<(), ExportError> {
        let export = async { self.exporter.export(Arc::clone(batch)).await };
        // What state the exporter is left in is its own matter; nothing of ours is half-changed.
        AssertUnwindSafe(export)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ExportError::Refused("the exporter panicked".to_owned())))
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

    async fn outcome_of(exporter: impl Exporter, give_up: bool) -> (Outcome, String) {
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
        let (_give_up, given_up) = watch::channel(give_up);
        run("test", &exporter, receiver, &metrics, given_up).await;
        let outcome = told.lock().unwrap().unwrap();
        (outcome, metrics.encode().unwrap())
    }

    fn scripted(script: Vec<Result<(), ExportError>>) -> Scripted {
        Scripted(Mutex::new(script))
    }

    /// Neither takes anything nor says so.
    struct Hanging;

    impl Exporter for Hanging {
        fn export(
            &self,
            _: Arc<Batch>,
        ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
            Box::pin(std::future::pending())
        }
    }

    struct Panicking;

    impl Exporter for Panicking {
        fn export(
            &self,
            _: Arc<Batch>,
        ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
            panic!("a fault of the exporter")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unreachable_is_tried_until_it_is_there() {
        let away = || Err(ExportError::Unreachable("nobody there".into()));
        let (outcome, _) = outcome_of(scripted(vec![away(), away(), away()]), false).await;
        assert_eq!(outcome, Outcome::Delivered);
    }

    #[tokio::test]
    async fn what_will_never_be_taken_is_dropped_at_once() {
        for (error, reason) in [
            (ExportError::Refused("not ours".into()), "reason=\"refused\""),
            (ExportError::TooLarge, "reason=\"too_large\""),
        ] {
            let (outcome, text) = outcome_of(scripted(vec![Err(error)]), false).await;
            assert_eq!(outcome, Outcome::Lost);
            assert!(text.contains(reason), "{text}");
        }
    }

    #[tokio::test]
    async fn a_panic_of_the_exporter_is_a_refusal() {
        let (outcome, text) = outcome_of(Panicking, false).await;
        assert_eq!(outcome, Outcome::Lost);
        assert!(text.contains("reason=\"refused\""), "{text}");
    }

    #[tokio::test]
    async fn when_time_is_up_what_is_left_is_given_up_and_counted() {
        let (outcome, text) = outcome_of(Hanging, true).await;
        assert_eq!(outcome, Outcome::Lost);
        assert!(text.contains("reason=\"shutdown\""), "{text}");
    }
}

//! From a queue to an exporter, as often as it takes.
//!
//! When a stopping agent's time is up, what is left is given up, and counted like every other drop.

mod backoff;
pub mod debug;
pub mod file;
mod go_text;
mod http;
pub mod loki;
pub mod otlp;
pub mod otlphttp;
pub mod prometheus;

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use self::backoff::Backoff;
use crate::config::Delivery;
use crate::queue::{self, Queued, Receiver};
use crate::record::Batch;
use crate::self_metrics::{ExporterReason, SelfMetrics, SignalExporter, SignalReason};

/// What is refused again and again is told this often; the counters tell the rest.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// How long it takes at least until another failure of one delivery is told of.
const RETOLD_AFTER: Duration = Duration::from_secs(5);

/// Somewhere batches go.
pub trait Exporter: Send + Sync + 'static {
    /// Delivers a batch; what the answer does not name as refused or left is safe.
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_>;

    /// How many bytes of what waits may be joined into one batch, for an exporter to which that is cheaper.
    fn gather_bytes(&self) -> usize {
        0
    }
}

/// An attempt to deliver a batch.
pub type Exporting<'a> = Pin<Box<dyn Future<Output = Result<Answer, ExportError>> + Send + 'a>>;

/// What became of a batch that was not refused as a whole.
#[derive(Debug, Default)]
pub struct Answer {
    /// Why items will never be taken, and how many.
    pub refused: Vec<(&'static str, u64)>,
    /// What the other side says of that, for people.
    pub told: String,
    /// What is to be tried again.
    pub rest: Option<Rest>,
}

/// A part of a batch that could not be delivered now.
#[derive(Debug)]
pub struct Rest {
    /// The part.
    pub batch: Arc<Batch>,
    /// Why not.
    pub error: ExportError,
}

/// Why a batch could not be delivered.
#[derive(Debug)]
pub enum ExportError {
    /// It will never be taken; the text says why.
    Refused(String),
    /// Nobody was there to take it, or not now; the text says who and why.
    Unreachable(String),
    /// It may come again, but not before a time that the other side names.
    Busy {
        /// Who and why.
        why: String,
        /// How long it asks to be left alone.
        after: Duration,
    },
    /// We are not let in: nothing is wrong with the batch, and when the credentials are put right it is taken.
    Denied(String),
    /// It is larger than what is taken there.
    TooLarge,
}

impl ExportError {
    /// Why it is dropped, as metrics label it.
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Busy { .. } => "busy",
            Self::Denied(_) => "denied",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether the same batch may be taken later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy { .. } | Self::Denied(_) => true,
            Self::Refused(_) | Self::TooLarge => false,
        }
    }

    fn asked_for(&self) -> Option<Duration> {
        match self {
            Self::Busy { after, .. } => Some(*after),
            _ => None,
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Busy { why, after } => write!(f, "busy for {after:?}: {why}"),
            Self::Denied(why) => write!(f, "not let in: {why}"),
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
    delivery: Delivery,
    self_metrics: &SelfMetrics,
    give_up: watch::Receiver<bool>,
) {
    let told = Mutex::default();
    let way = Way { name, exporter, delivery, self_metrics, give_up, told };
    let gather_bytes = exporter.gather_bytes();
    let mut in_flight = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = in_flight.next() => {}
            queued = queue.next(), if in_flight.len() < delivery.queue.consumers => {
                let Some(first) = queued else { break };
                let mut attempt = Box::pin(way.deliver(gather(first, &mut queue, gather_bytes)));
                // Begun in the order in which they came, whatever is polled first from now on.
                let begun = poll_fn(|context| Poll::Ready(attempt.as_mut().poll(context))).await;
                if begun.is_pending() {
                    in_flight.push(attempt);
                }
            },
        }
    }
    while in_flight.next().await.is_some() {}
}

/// What is queued now, joined until it is large enough.
fn gather(first: Queued, queue: &mut Receiver, enough_bytes: usize) -> Queued {
    let signal = first.batch.signal();
    let (mut size_bytes, mut more) = (first.size_bytes(), Vec::new());
    while size_bytes < enough_bytes {
        let Some(next) = queue.try_next_of(signal) else { break };
        size_bytes += next.size_bytes();
        more.push(next);
    }
    queue::join(first, more)
}

/// What all deliveries to one exporter share.
struct Way<'a> {
    name: &'a str,
    exporter: &'a dyn Exporter,
    delivery: Delivery,
    self_metrics: &'a SelfMetrics,
    give_up: watch::Receiver<bool>,
    /// When each reason was told of last.
    told: Mutex<Vec<(&'static str, Instant)>>,
}

/// How a delivery ended.
enum End {
    /// Every item was taken, or refused for good: it is of no use to send it again.
    Settled,
    /// It could not be delivered for too long; the reason why.
    GivenUp(&'static str),
}

/// How a part of a delivery ended.
enum PartEnd {
    /// As [`End::Settled`].
    Settled,
    /// As [`End::GivenUp`].
    GivenUp(&'static str),
    /// It has several items, and is too large as a whole.
    TooLarge(Arc<Batch>),
}

/// The failure of a row that was last told of.
///
/// Somebody who puts right what was told must learn of what fails then, so another failure is told, too; not at once, since
/// failures that take turns would fill the log.
#[derive(Debug, Default)]
struct LastTold(Option<(String, Instant)>);

impl LastTold {
    fn is_news(&mut self, error: &ExportError, now: Instant) -> bool {
        let text = error.to_string();
        if let Some((told, at)) = &self.0
            && (*told == text || now.duration_since(*at) < RETOLD_AFTER)
        {
            return false;
        }
        self.0 = Some((text, now));
        true
    }
}

impl Way<'_> {
    async fn deliver(&self, queued: Queued) {
        let mut give_up = self.give_up.clone();
        let (batch, ack, _room) = queued.into_parts();
        let signal = batch.signal();
        let left = AtomicU64::new(batch.items() as u64);
        let end = tokio::select! {
            biased;
            // A sender that is gone will never say so; then there is no deadline.
            Ok(_) = give_up.wait_for(|give_up| *give_up) => End::GivenUp("shutdown"),
            end = self.try_until_settled(batch, &left) => end,
        };
        match end {
            End::Settled => ack.delivered(),
            End::GivenUp(reason) => {
                self.count_dropped(signal, reason, left.into_inner());
                ack.lost();
            }
        }
    }

    /// Ends when nothing is left of the batch, or when it is given up; `left` is then how many items are.
    async fn try_until_settled(&self, batch: Arc<Batch>, left: &AtomicU64) -> End {
        let mut waiting = vec![batch];
        while let Some(batch) = waiting.pop() {
            let behind = waiting.iter().map(|batch| batch.items() as u64).sum();
            match self.try_part(batch, behind, left).await {
                PartEnd::Settled => {}
                PartEnd::GivenUp(reason) => return End::GivenUp(reason),
                PartEnd::TooLarge(batch) => {
                    let half = batch.items().div_ceil(2);
                    let halves = Arc::unwrap_or_clone(batch).split(half);
                    waiting.extend(halves.into_iter().rev().map(Arc::new));
                }
            }
        }
        End::Settled
    }

    /// Tries a part of a delivery of which `behind` items are still to come.
    async fn try_part(&self, mut batch: Arc<Batch>, behind: u64, left: &AtomicU64) -> PartEnd {
        let (exporter, signal) = (self.name, batch.signal());
        let (began, mut backoff) = (Instant::now(), Backoff::new(self.delivery.retry));
        let mut last = LastTold::default();
        loop {
            let error = match self.attempt(&batch).await {
                Ok(answer) => {
                    let rest = self.settle(&batch, answer);
                    let items = rest.as_ref().map_or(0, |rest| rest.batch.items() as u64);
                    left.store(items + behind, Ordering::Relaxed);
                    let Some(rest) = rest else { return PartEnd::Settled };
                    batch = rest.batch;
                    rest.error
                }
                Err(error) => error,
            };
            let label = ExporterReason { exporter: exporter.to_owned(), reason: error.reason() };
            self.self_metrics.export.failures.get_or_create(&label).inc();
            let items = batch.items();
            if !error.is_retryable() {
                if matches!(error, ExportError::TooLarge) && items > 1 {
                    return PartEnd::TooLarge(batch);
                }
                if self.is_news(error.reason()) {
                    tracing::warn!(exporter, %error, "dropped {items} items of {signal}");
                }
                self.count_dropped(signal, error.reason(), items as u64);
                left.store(behind, Ordering::Relaxed);
                return PartEnd::Settled;
            }
            let pause = backoff.pause(began.elapsed(), error.asked_for(), fastrand::f64());
            let Some(pause) = pause else {
                tracing::warn!(exporter, %error, "gave {items} items of {signal} up");
                return PartEnd::GivenUp(error.reason());
            };
            // The first of a row says it, and who then fails otherwise; the counters of the exporter tell the rest.
            if last.is_news(&error, Instant::now()) {
                tracing::warn!(exporter, %error,
                    "could not deliver {signal}; it will be tried again until it can");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Counts what became of the items of a batch; what is left of it comes back.
    fn settle(&self, batch: &Batch, answer: Answer) -> Option<Rest> {
        let (exporter, signal) = (self.name, batch.signal());
        let rest = answer.rest.as_ref().map_or(0, |rest| rest.batch.items() as u64);
        let mut taken = (batch.items() as u64).saturating_sub(rest);
        for (reason, count) in answer.refused {
            let count = count.min(taken);
            taken -= count;
            self.count_dropped(signal, reason, count);
            if self.is_news(reason) {
                let why = answer.told.as_str();
                let what = format!("{count} items of {signal} were refused, and are dropped");
                tracing::warn!(exporter, reason, why, "{what}");
            }
        }
        let label = SignalExporter { signal, exporter: exporter.to_owned() };
        self.self_metrics.export.exported.get_or_create(&label).inc_by(taken);
        answer.rest
    }

    /// Whether it was not told of for a while that items are dropped for this reason.
    fn is_news(&self, reason: &'static str) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, at)) if now.duration_since(*at) < TOLD_EVERY => false,
            Some((_, at)) => {
                *at = now;
                true
            }
            None => {
                told.push((reason, now));
                true
            }
        }
    }

    fn count_dropped(&self, signal: &'static str, reason: &'static str, items: u64) {
        let label = SignalReason { signal, reason };
        self.self_metrics.export.dropped.get_or_create(&label).inc_by(items);
    }

    /// A panic of an exporter costs the batch that caused it, and no other.
    async fn attempt(&self, batch: &Arc<Batch>) -> Result<Answer, ExportError> {
        let export = async { self.exporter.export(Arc::clone(batch)).await };
        // What state the exporter is left in is its own matter; nothing of ours is half-changed.
        AssertUnwindSafe(export)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(ExportError::Refused("the exporter panicked".to_owned())))
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

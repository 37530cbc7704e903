//! The exporter: a thread with a runtime of its own, which takes batches and sees them delivered.
//!
//! The host's runtime is never needed, so it works beside a blocked worker or with no runtime at all; and
//! telemetry is suppressed on its thread, or it would trace itself.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;

use super::Console;
use super::queue::{Debt, Outcome, SpanQueue};
use crate::background;
use crate::config::ExportConfig;
use crate::otlp::{Answer, Attempt, Pauses, Sender, attempt};
use crate::span::Ended;
use complaints::{Cause, Complaints};

mod complaints;

/// While somebody waits (a flush, the shutdown), pauses are no longer than this.
const LONGEST_URGENT_PAUSE: Duration = Duration::from_millis(250);
/// A receiver that asks for more is asked again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

struct Exporter {
    queue: Arc<SpanQueue>,
    /// `None` when spans are printed only.
    sender: Option<Arc<dyn Sender>>,
    console: Option<Console>,
    resource: ResourceAttributesWithSchema,
    batch_spans: usize,
    delay: Duration,
    timeout: Duration,
    complaints: Complaints,
}

/// Starts the exporter's thread. It ends when the queue is closed and empty.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn spawn(
    queue: Arc<SpanQueue>,
    sender: Option<Box<dyn Sender>>,
    console: Option<Console>,
    config: &ExportConfig,
    resource: &Resource,
) -> io::Result<()> {
    let exporter = Exporter {
        queue,
        sender: sender.map(Arc::from),
        console,
        resource: resource.into(),
        batch_spans: config.batch_spans,
        delay: config.delay,
        timeout: config.otlp.timeout,
        complaints: Complaints::new(&config.otlp.endpoint),
    };
    // Told also if the exporter itself panics: nobody then waits for it in vain.
    let gone = Gone(Arc::clone(&exporter.queue));
    let for_want_of_a_runtime = "the exporter of spans has no runtime; spans are dropped";
    background::start("spanline-export", for_want_of_a_runtime, gone, || exporter.run())
}

struct Gone(Arc<SpanQueue>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.exporter_is_gone();
    }
}

impl Exporter {
    async fn run(mut self) {
        while let Some(batch) = self.queue.next_batch(self.batch_spans, self.delay).await {
            let debt = batch.debt();
            let spans: Vec<_> = batch.spans.into_iter().map(Ended::into_data).collect();
            if let Some(print) = &self.console {
                spans.iter().for_each(print);
            }
            let outcome = match self.sender.clone() {
                Some(sender) => self.deliver(&*sender, &self.encode(spans)).await,
                None => Outcome::Delivered { rejected: 0 },
            };
            self.settle(debt, outcome);
        }
    }

    fn encode(&self, spans: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Sends a batch as often as it takes: until it is taken or refused, or the shutdown's deadline
    /// has passed. What is away comes back, and meanwhile the queue is the bound.
    async fn deliver(&mut self, sender: &dyn Sender, request: &Bytes) -> Outcome {
        let mut pauses = Pauses::new();
        loop {
            let wait = match self.send(sender, request.clone()).await {
                Attempt::Answered(Answer::Taken { rejected, message }) => {
                    if rejected > 0 {
                        self.complaints.about(Cause::Rejected, &message);
                    }
                    return Outcome::Delivered { rejected };
                }
                Attempt::Answered(Answer::Refused { why }) => {
                    self.complaints.about(Cause::Refused, &why);
                    return Outcome::Refused;
                }
                Attempt::Answered(Answer::Later { wait, why }) => {
                    self.complaints.about(Cause::Away, &why);
                    wait.map(|wait| wait.min(LONGEST_RETRY_AFTER))
                }
                Attempt::Answered(Answer::Distrusted { why }) => {
                    self.complaints.about(Cause::Distrusted, &why);
                    None
                }
                Attempt::Unanswered => {
                    let why = format!("no answer within {:?}", self.timeout);
                    self.complaints.about(Cause::Away, &why);
                    None
                }
                Attempt::Panicked => {
                    self.complaints.about(Cause::Failed, "the sender panicked");
                    return Outcome::Failed;
                }
            };
            // While nobody takes a batch, none is settled, and this is where the queue fills up.
            self.complain_about_full_queue();
            if self.queue.closed().is_some_and(|deadline| Instant::now() >= deadline) {
                return Outcome::TooLate;
            }
            let pause = pauses.next();
            self.pause(wait.unwrap_or(pause)).await;
        }
    }

    /// One try, with less time when the shutdown's deadline is near.
    async fn send(&self, sender: &dyn Sender, request: Bytes) -> Attempt {
        let left = match self.queue.closed() {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()).min(self.timeout),
            None => self.timeout,
        };
        attempt(sender, request, left).await
    }

    /// Waits; less if somebody waits for the batch.
    async fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut urgent_until = None;
        loop {
            if self.queue.is_urgent() && urgent_until.is_none() {
                urgent_until = Some(Instant::now() + LONGEST_URGENT_PAUSE);
            }
            let until = urgent_until.map_or(until, |urgent| urgent.min(until));
            let deadline = self.queue.closed().map_or(until, |deadline| deadline.min(until));
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero()
                || tokio::time::timeout(left, self.queue.work.notified()).await.is_err()
            {
                return;
            }
        }
    }

    fn settle(&mut self, debt: Debt, outcome: Outcome) {
        self.queue.settle(debt, outcome);
        self.complain_about_full_queue();
    }

    fn complain_about_full_queue(&mut self) {
        let dropped = self.queue.ledger().dropped.queue_full;
        self.complaints.about_full_queue(dropped);
    }
}

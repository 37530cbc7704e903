//! `batch`: small deliveries become larger ones, which back ends take more cheaply.
//!
//! A delivery waits until enough have come or the oldest has waited for `timeout`. Each source hears of its own when the whole
//! has been answered, so nothing that waits here is forgotten.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::config::BatchSettings;
use crate::queue::{self, Queued, Receiver, Sender};
use crate::self_metrics::{SelfMetrics, SignalReason};
use crate::sink::{Delivery, Full, Sink};

/// Bytes that wait in one `batch`.
const CAPACITY_BYTES: usize = 16 * 1024 * 1024;

/// The end that takes deliveries, and the work that hands them on, to be run beside the exporters.
pub(super) fn batch(
    name: &str,
    settings: BatchSettings,
    next: Arc<dyn Sink>,
    metrics: &Arc<SelfMetrics>,
) -> (Arc<dyn Sink>, Batcher) {
    let (queue, items) = queue::bounded(name, CAPACITY_BYTES, metrics);
    (Arc::new(Waiting { queue }), Batcher { settings, items, next, metrics: Arc::clone(metrics) })
}

struct Waiting {
    queue: Sender,
}

impl Sink for Waiting {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let items = delivery.batch.items();
            if let Some(room) = self.queue.room(delivery.size_bytes, items).await {
                self.queue.push(room, Arc::new(delivery.batch), delivery.ack);
            }
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let room = self.queue.try_room(delivery.size_bytes, delivery.batch.items()).ok_or(Full)?;
        self.queue.push(room, Arc::new(delivery.batch), delivery.ack);
        Ok(())
    }
}

/// Gathers what waits and hands it on.
pub struct Batcher {
    settings: BatchSettings,
    items: Receiver,
    next: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
}

impl Batcher {
    /// Works until nothing more can come and everything was handed on. When `give_up` turns true, what is left is dropped
    /// and counted.
    pub async fn run(mut self, mut give_up: watch::Receiver<bool>) {
        while let Some(first) = self.items.next().await {
            let (joined, is_last) = self.gather(first).await;
            let size_bytes = joined.size_bytes();
            // The room is held until the next stage has it, so that what is on its way counts as waiting.
            let (batch, ack, _room) = joined.into_parts();
            let (signal, items) = (batch.signal(), batch.items());
            let batch = Arc::unwrap_or_clone(batch);
            let parts = match self.settings.send_batch_max_size {
                Some(most) => batch.split(most),
                None => vec![batch],
            };
            let mut left = items;
            for batch in parts {
                let count = batch.items();
                let size_bytes = part_bytes(size_bytes, count, items);
                let delivery = Delivery { batch, size_bytes, ack: ack.clone() };
                tokio::select! {
                    biased;
                    // A sender that is gone will never say so; then there is no deadline.
                    Ok(_) = give_up.wait_for(|give_up| *give_up) => break,
                    () = self.next.send(delivery) => left -= count,
                }
            }
            match left {
                0 => ack.delivered(),
                left => self.count(signal, left as u64),
            }
            if is_last {
                return;
            }
        }
    }

    /// What comes until there is enough, time is up, or nothing more can come.
    async fn gather(&mut self, first: Queued) -> (Queued, bool) {
        let deadline = Instant::now() + self.settings.timeout;
        let mut items = first.batch.items();
        let mut more = Vec::new();
        while items < self.settings.send_batch_size {
            match timeout_at(deadline, self.items.next()).await {
                Ok(Some(queued)) => {
                    items += queued.batch.items();
                    more.push(queued);
                }
                Ok(None) => return (queue::join(first, more), true),
                Err(_) => break,
            }
        }
        (queue::join(first, more), false)
    }

    fn count(&self, signal: &'static str, items: u64) {
        let label = SignalReason { signal, reason: "shutdown" };
        self.metrics.export.dropped.get_or_create(&label).inc_by(items);
    }
}

/// What of `size_bytes` belongs to `count` of `items`.
fn part_bytes(size_bytes: usize, count: usize, items: usize) -> usize {
    let bytes = size_bytes as u128 * count as u128 / (items as u128).max(1);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl std::fmt::Debug for Batcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batcher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::ack::{Ack, Outcome};
    use crate::fanout::Fanout;
    use crate::record::{Batch, SpanBatch};

    fn spans(count: usize) -> (Delivery, Arc<Mutex<Option<Outcome>>>) {
        let told = Arc::new(Mutex::new(None));
        let tell = Arc::clone(&told);
        let ack = Ack::new(move |outcome| *tell.lock().unwrap() = Some(outcome));
        let request = crate::receive::testing::empty_spans(count);
        let batch = Batch::Spans(SpanBatch { resource_spans: request.resource_spans });
        (Delivery { batch, size_bytes: 1_000, ack }, told)
    }

    /// What comes out, and when, of deliveries that are sent one second after the other.
    async fn batched(send_batch_size: usize, timeout: u64, sent: &[usize]) -> Vec<(usize, u64)> {
        batched_up_to(None, send_batch_size, timeout, sent).await
    }

    async fn batched_up_to(
        send_batch_max_size: Option<usize>,
        send_batch_size: usize,
        timeout: u64,
        sent: &[usize],
    ) -> Vec<(usize, u64)> {
        let metrics = Arc::new(SelfMetrics::new());
        let (queue, mut out) = queue::bounded("test", 1 << 20, &metrics);
        let timeout = Duration::from_secs(timeout);
        let settings = BatchSettings { timeout, send_batch_size, send_batch_max_size };
        let (sink, batcher) =
            batch("batch", settings, Arc::new(Fanout { queues: vec![queue] }), &metrics);
        let (_give_up, given_up) = watch::channel(false);
        let (began, task) = (Instant::now(), tokio::spawn(batcher.run(given_up)));
        let sent = sent.to_vec();
        tokio::spawn(async move {
            for count in sent {
                sink.send(spans(count).0).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut received = Vec::new();
        while let Some(queued) = out.next().await {
            received.push((queued.batch.items(), began.elapsed().as_secs()));
            queued.ack.delivered();
        }
        task.await.unwrap();
        received
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_when_it_is_large_enough_or_old_enough_or_the_last() {
        assert_eq!(batched(5, 60, &[2, 3, 4, 1]).await, [(5, 1), (5, 3)]);
        assert_eq!(
            batched(100, 2, &[1, 1, 1, 1, 1]).await.iter().map(|(items, _)| items).sum::<usize>(),
            5
        );
        assert_eq!(batched(100, 60, &[1, 1]).await, [(2, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_batch_is_larger_than_it_may_be() {
        let batches = batched_up_to(Some(4), 4, 60, &[3, 7]).await;
        assert_eq!(batches, [(4, 1), (4, 1), (2, 1)]);
    }

    #[tokio::test]
    async fn every_source_hears_of_its_own_and_what_is_given_up_is_counted() {
        let metrics = Arc::new(SelfMetrics::new());
        // Room for two of three.
        let (queue, mut out) = queue::bounded("test", 2_000, &metrics);
        let settings = BatchSettings {
            timeout: Duration::ZERO,
            send_batch_size: 1,
            send_batch_max_size: None,
        };
        let next = Arc::new(Fanout { queues: vec![queue] });
        let (sink, batcher) = batch("batch", settings, next, &metrics);
        let (give_up, given_up) = watch::channel(false);
        let sent = [3, 4, 5].map(spans);
        let told = sent.each_ref().map(|(_, told)| Arc::clone(told));
        for (delivery, _) in sent {
            sink.try_send(delivery).unwrap();
        }
        drop(sink);
        let task = tokio::spawn(batcher.run(given_up));
        let mut queued = vec![out.next().await.unwrap(), out.next().await.unwrap()];
        give_up.send(true).unwrap();
        task.await.unwrap();
        queued.drain(..).for_each(|queued| queued.ack.delivered());
        let outcomes = told.map(|told| told.lock().unwrap().unwrap());
        assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered, Outcome::Lost]);
        let text = metrics.encode().unwrap();
        let lost = "dropped_items_total{signal=\"traces\",reason=\"shutdown\"} 5";
        assert!(text.contains(lost), "{text}");
    }
}

//! `batch`: small deliveries become larger ones, which back ends take more cheaply.
//!
//! A delivery waits until enough have come or the oldest has waited for `timeout`. Each source hears of its own when the whole
//! has been answered, so nothing that waits here is forgotten.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::ack::{Ack, Outcome};
use crate::config::BatchSettings;
use crate::queue::{self, Queued, Receiver, Sender};
use crate::record::Batch;
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
            if let Some(room) = self.queue.room(delivery.size_bytes).await {
                self.queue.push(room, Arc::new(delivery.batch), delivery.ack);
            }
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let room = self.queue.try_room(delivery.size_bytes).ok_or(Full)?;
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
            let (gathered, is_last) = self.gather(first).await;
            let (delivery, rooms) = joined(gathered);
            let (signal, items) = (delivery.batch.signal(), delivery.batch.items() as u64);
            tokio::select! {
                biased;
                // A sender that is gone will never say so; then there is no deadline.
                Ok(_) = give_up.wait_for(|give_up| *give_up) => self.count(signal, items),
                () = self.next.send(delivery) => {}
            }
            // Held until here, so that what is on its way counts as waiting.
            drop(rooms);
            if is_last {
                return;
            }
        }
    }

    /// What comes until there is enough, time is up, or nothing more can come.
    async fn gather(&mut self, first: Queued) -> (Vec<Queued>, bool) {
        let deadline = Instant::now() + self.settings.timeout;
        let mut items = first.batch.items();
        let mut gathered = vec![first];
        while items < self.settings.send_batch_size {
            match timeout_at(deadline, self.items.next()).await {
                Ok(Some(queued)) => {
                    items += queued.batch.items();
                    gathered.push(queued);
                }
                Ok(None) => return (gathered, true),
                Err(_) => break,
            }
        }
        (gathered, false)
    }

    fn count(&self, signal: &'static str, items: u64) {
        let label = SignalReason { signal, reason: "shutdown" };
        self.metrics.export.dropped.get_or_create(&label).inc_by(items);
    }
}

/// One delivery of several, all of one signal; the parts keep their room.
fn joined(gathered: Vec<Queued>) -> (Delivery, Vec<queue::Occupied>) {
    let (mut acks, mut rooms) =
        (Vec::with_capacity(gathered.len()), Vec::with_capacity(gathered.len()));
    let (mut whole, mut size_bytes) = (None, 0);
    for queued in gathered {
        let (batch, ack, room) = queued.into_parts();
        size_bytes += room.size_bytes();
        acks.push(ack);
        rooms.push(room);
        let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone());
        match &mut whole {
            None => whole = Some(batch),
            Some(whole) => append(whole, batch),
        }
    }
    let batch = whole.unwrap_or(Batch::Logs(Vec::new()));
    (Delivery { batch, size_bytes, ack: for_all(acks) }, rooms)
}

fn append(whole: &mut Batch, batch: Batch) {
    match (whole, batch) {
        (Batch::Logs(whole), Batch::Logs(batch)) => whole.extend(batch),
        (Batch::Spans(whole), Batch::Spans(batch)) => {
            whole.resource_spans.extend(batch.resource_spans)
        }
        (Batch::Metrics(whole), Batch::Metrics(batch)) => {
            whole.resource_metrics.extend(batch.resource_metrics);
        }
        // A pipeline carries one signal.
        _ => {}
    }
}

/// An ack whose answer all of these get.
fn for_all(acks: Vec<Ack>) -> Ack {
    let acks = std::sync::Mutex::new(acks);
    Ack::new(move |outcome| {
        let acks =
            std::mem::take(&mut *acks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if outcome == Outcome::Delivered {
            acks.into_iter().for_each(Ack::delivered);
        }
    })
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
    use crate::fanout::Fanout;
    use crate::record::SpanBatch;

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
        let metrics = Arc::new(SelfMetrics::new());
        let (queue, mut out) = queue::bounded("test", 1 << 20, &metrics);
        let settings = BatchSettings { timeout: Duration::from_secs(timeout), send_batch_size };
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

    #[tokio::test]
    async fn every_source_hears_of_its_own_and_what_is_given_up_is_counted() {
        let metrics = Arc::new(SelfMetrics::new());
        // Room for two of three.
        let (queue, mut out) = queue::bounded("test", 2_000, &metrics);
        let settings = BatchSettings { timeout: Duration::ZERO, send_batch_size: 1 };
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

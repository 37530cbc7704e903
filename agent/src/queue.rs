//! What waits in front of one exporter: a queue bounded by bytes, in memory.
//!
//! Room is reserved first and used afterwards, so that the fan-out can ask every queue before it
//! hands a batch to any. The bytes of a batch count until its exporter is done with it, not only
//! until it is taken out: what is under way takes memory too.
//!
//! A queue on disk will stand behind the same three types.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ack::Ack;
use crate::record::Batch;

/// Bytes of batches that one exporter's queue holds, what is under way included.
pub const CAPACITY_BYTES: usize = 64 * 1024 * 1024;
/// What a batch counts at least, so that many tiny ones are bounded too.
const MIN_ITEM_BYTES: usize = 512;

/// The end that sources push into.
#[derive(Debug)]
pub struct Queue {
    room: Arc<Semaphore>,
    capacity_bytes: usize,
    // Taken when the queue is closed: the exporter then sees the end after the last item.
    way: Mutex<Option<mpsc::UnboundedSender<Item>>>,
    bytes: Gauge,
}

/// Room for one batch.
#[derive(Debug)]
pub struct Slot<'a> {
    queue: &'a Queue,
    permit: OwnedSemaphorePermit,
}

/// A batch on its way to one exporter.
#[derive(Debug)]
pub struct Item {
    /// What is to be exported; shared with the other queues.
    pub batch: Arc<Batch>,
    /// To be answered when the exporter is done.
    pub ack: Ack,
    _room: Held,
}

/// The end that an exporter takes from.
pub type Items = mpsc::UnboundedReceiver<Item>;

/// Bytes that are taken; gives them back, and corrects the gauge, when dropped.
#[derive(Debug)]
struct Held {
    permit: OwnedSemaphorePermit,
    bytes: Gauge,
}

impl Queue {
    /// A queue of `capacity_bytes` whose fill is shown by `bytes`.
    pub fn new(capacity_bytes: usize, bytes: Gauge) -> (Self, Items) {
        let capacity_bytes = capacity_bytes.min(u32::MAX as usize);
        let (way, items) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(capacity_bytes));
        (Self { room, capacity_bytes, way: Mutex::new(Some(way)), bytes }, items)
    }

    /// Waits for room; `None` once the queue is closed.
    pub async fn reserve(&self, size_bytes: usize) -> Option<Slot<'_>> {
        let permits = self.permits(size_bytes);
        let permit = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
        Some(Slot { queue: self, permit })
    }

    /// Takes room if it is there now; `None` when it is not, or when the queue is closed.
    pub fn try_reserve(&self, size_bytes: usize) -> Option<Slot<'_>> {
        let permits = self.permits(size_bytes);
        let permit = Arc::clone(&self.room).try_acquire_many_owned(permits).ok()?;
        Some(Slot { queue: self, permit })
    }

    /// Takes nothing more; whoever waits for room is told, and the exporter sees the end once it
    /// has taken what is there.
    pub fn close(&self) {
        self.room.close();
        self.way.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A batch larger than the whole queue passes when it has the queue to itself.
    fn permits(&self, size_bytes: usize) -> u32 {
        let bytes = size_bytes.max(MIN_ITEM_BYTES).min(self.capacity_bytes);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

impl Slot<'_> {
    /// Uses the room. After [`Queue::close`] the batch is dropped, and its ack with it.
    pub fn push(self, batch: Arc<Batch>, ack: Ack) {
        self.queue.bytes.inc_by(i64::try_from(self.permit.num_permits()).unwrap_or(i64::MAX));
        let room = Held { permit: self.permit, bytes: self.queue.bytes.clone() };
        let item = Item { batch, ack, _room: room };
        let way = self.queue.way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(way) = way.as_ref() {
            // Fails only when the exporter is gone, at the very end of a shutdown.
            let _ = way.send(item);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bytes.dec_by(i64::try_from(self.permit.num_permits()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::SpanBatch;

    fn batch() -> Arc<Batch> {
        Arc::new(Batch::Spans(SpanBatch::default()))
    }

    #[tokio::test]
    async fn bytes_count_until_the_exporter_is_done() {
        let bytes = Gauge::default();
        let (queue, mut items) = Queue::new(2_000, bytes.clone());
        queue.try_reserve(1_500).unwrap().push(batch(), Ack::nobody());
        let under_way = items.recv().await.unwrap();
        assert_eq!(bytes.get(), 1_500);
        assert!(queue.try_reserve(1_000).is_none());
        drop(under_way);
        assert_eq!(bytes.get(), 0);
        assert!(queue.try_reserve(1_000).is_some());
    }

    #[tokio::test]
    async fn a_batch_larger_than_the_queue_passes_alone() {
        let (queue, _items) = Queue::new(1_000, Gauge::default());
        let alone = queue.try_reserve(50_000).unwrap();
        assert!(queue.try_reserve(1).is_none());
        drop(alone);
        assert!(queue.try_reserve(1).is_some());
    }

    #[tokio::test]
    async fn tiny_batches_are_bounded_too() {
        let (queue, _items) = Queue::new(4 * MIN_ITEM_BYTES, Gauge::default());
        let taken: Vec<_> = std::iter::from_fn(|| queue.try_reserve(0)).collect();
        assert_eq!(taken.len(), 4);
    }

    #[tokio::test]
    async fn closing_keeps_what_is_there_and_wakes_who_waits() {
        let (queue, mut items) = Queue::new(1_000, Gauge::default());
        queue.try_reserve(1_000).unwrap().push(batch(), Ack::nobody());
        let (waited, ()) = tokio::join!(queue.reserve(1_000), async { queue.close() });
        assert!(waited.is_none());
        assert!(items.recv().await.is_some());
        assert!(items.recv().await.is_none());
    }
}

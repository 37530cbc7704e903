//! What waits for one exporter: in memory, bounded by bytes, first in, first out.
//!
//! Room is taken before a delivery is queued, so that a delivery for several exporters finds room with
//! all of them or with none. A queue on disk will have the same two ends.

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::ack::Ack;
use crate::record::Batch;
use crate::self_metrics::{ExporterName, SelfMetrics};

/// Room for each exporter unless it is told otherwise.
pub const DEFAULT_CAPACITY_BYTES: usize = 64 * 1024 * 1024;

/// A delivery takes at least so much room: even an empty one costs something to hold.
const MIN_DELIVERY_BYTES: usize = 256;

/// A queue for the exporter `name`.
pub fn bounded(name: &str, capacity_bytes: usize, metrics: &SelfMetrics) -> (Sender, Receiver) {
    // Permits are bytes; a semaphore counts further than any machine's memory.
    let capacity_bytes = capacity_bytes.clamp(MIN_DELIVERY_BYTES, u32::MAX as usize);
    let label = ExporterName { exporter: name.to_owned() };
    let waiting_bytes = metrics.export.queue_bytes.get_or_create(&label).clone();
    // Bounded by the bytes above: every message holds its permits.
    let (items, queue) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(capacity_bytes));
    (Sender { items, room, capacity_bytes, waiting_bytes }, Receiver { queue })
}

/// The end to which deliveries are added.
#[derive(Debug, Clone)]
pub struct Sender {
    items: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    capacity_bytes: usize,
    waiting_bytes: Gauge,
}

/// Room in a queue, taken for one delivery.
#[derive(Debug)]
pub struct Room {
    permit: OwnedSemaphorePermit,
}

/// The end from which deliveries are taken.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Queued>,
}

/// A delivery that waits, or is on its way; its room is free again when it is dropped.
#[derive(Debug)]
pub struct Queued {
    /// What is delivered.
    pub batch: Arc<Batch>,
    /// To be answered.
    pub ack: Ack,
    _room: Occupied,
}

/// The room of a delivery, until it is dropped.
#[derive(Debug)]
pub(crate) struct Occupied {
    permit: OwnedSemaphorePermit,
    waiting_bytes: Gauge,
}

impl Sender {
    /// Waits for room; `None` when the exporter has ended.
    pub async fn room(&self, size_bytes: usize) -> Option<Room> {
        let permits = self.permits(size_bytes);
        let permit = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
        Some(Room { permit })
    }

    /// Takes room if there is some now.
    pub fn try_room(&self, size_bytes: usize) -> Option<Room> {
        let permits = self.permits(size_bytes);
        let permit = Arc::clone(&self.room).try_acquire_many_owned(permits).ok()?;
        Some(Room { permit })
    }

    /// Queues a delivery in the room that was taken for it. If the exporter has ended, the ack is
    /// told that the batch is lost.
    pub fn push(&self, room: Room, batch: Arc<Batch>, ack: Ack) {
        let waiting_bytes = self.waiting_bytes.clone();
        waiting_bytes.inc_by(room.permit.num_permits() as i64);
        let occupied = Occupied { permit: room.permit, waiting_bytes };
        drop(self.items.send(Queued { batch, ack, _room: occupied }));
    }

    /// A delivery larger than the whole queue waits until the queue is empty, and then goes.
    fn permits(&self, size_bytes: usize) -> u32 {
        let clamped = size_bytes.clamp(MIN_DELIVERY_BYTES, self.capacity_bytes);
        u32::try_from(clamped).unwrap_or(u32::MAX)
    }
}

impl Queued {
    /// The batch, the ack, and the room, which is free again when it is dropped.
    pub(crate) fn into_parts(self) -> (Arc<Batch>, Ack, Occupied) {
        (self.batch, self.ack, self._room)
    }
}

impl Occupied {
    /// How much room it is.
    pub(crate) fn size_bytes(&self) -> usize {
        self.permit.num_permits()
    }
}

impl Receiver {
    /// The next delivery; `None` when every sender is gone and nothing is left.
    pub async fn next(&mut self) -> Option<Queued> {
        self.queue.recv().await
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.waiting_bytes.dec_by(self.permit.num_permits() as i64);
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
    async fn room_is_free_again_when_a_delivery_is_done_with() {
        let metrics = SelfMetrics::new();
        let (sender, mut receiver) = bounded("store", 1_000, &metrics);
        let room = sender.try_room(900).unwrap();
        sender.push(room, batch(), Ack::nobody());
        assert!(sender.try_room(300).is_none(), "1,000 bytes have no room for 900 and 300");
        let text = metrics.encode().unwrap();
        assert!(text.contains("queue_bytes{exporter=\"store\"} 900"), "{text}");

        let queued = receiver.next().await.unwrap();
        assert!(sender.try_room(300).is_none(), "it is still on its way");
        drop(queued);
        assert!(sender.try_room(300).is_some());
    }

    #[tokio::test]
    async fn a_delivery_larger_than_the_queue_still_passes() {
        let (sender, _receiver) = bounded("store", 1_000, &SelfMetrics::new());
        assert!(sender.try_room(1_000_000).is_some());
    }
}

//! What waits for one exporter: in memory, bounded by bytes, and by a count if one is set; first in, first out.
//!
//! Room is taken before a delivery is queued, so that a delivery for several exporters finds room with
//! all of them or with none. A queue on disk will have the same two ends.

mod join;

use std::sync::Arc;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::ack::Ack;
use crate::config::Counted;
use crate::record::Batch;
use crate::self_metrics::{ExporterName, SelfMetrics};

pub(crate) use self::join::join;

/// A delivery takes at least so much room: even an empty one costs something to hold.
const MIN_DELIVERY_BYTES: usize = 256;

/// A queue for the exporter `name`.
pub fn bounded(name: &str, capacity_bytes: usize, metrics: &SelfMetrics) -> (Sender, Receiver) {
    counted(name, capacity_bytes, None, metrics)
}

/// A queue for the exporter `name` that is bounded by a count as well.
pub fn counted(
    name: &str,
    capacity_bytes: usize,
    most: Option<Counted>,
    metrics: &SelfMetrics,
) -> (Sender, Receiver) {
    // Permits are bytes; a semaphore counts further than any machine's memory.
    let capacity_bytes = capacity_bytes.clamp(MIN_DELIVERY_BYTES, u32::MAX as usize);
    let label = ExporterName { exporter: name.to_owned() };
    let waiting_bytes = metrics.export.queue_bytes.get_or_create(&label).clone();
    // Bounded by the bytes above: every message holds its permits.
    let (items, queue) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(capacity_bytes));
    let count = most.map(|most| {
        let (Counted::Requests(count) | Counted::Items(count)) = most;
        (most, Arc::new(Semaphore::new(count as usize)))
    });
    let sender = Sender { items, room, capacity_bytes, count, waiting_bytes };
    (sender, Receiver { queue, ahead: None })
}

/// The end to which deliveries are added.
#[derive(Debug, Clone)]
pub struct Sender {
    items: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    capacity_bytes: usize,
    count: Option<(Counted, Arc<Semaphore>)>,
    waiting_bytes: Gauge,
}

/// Room in a queue, taken for one delivery.
#[derive(Debug)]
pub struct Room {
    bytes: OwnedSemaphorePermit,
    count: Option<OwnedSemaphorePermit>,
}

/// The end from which deliveries are taken.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Queued>,
    /// Taken already, and then left for later.
    ahead: Option<Queued>,
}

/// A delivery that waits, or is on its way; its room is free again when it is dropped.
#[derive(Debug)]
pub struct Queued {
    /// What is delivered.
    pub batch: Arc<Batch>,
    /// To be answered.
    pub ack: Ack,
    room: Occupied,
}

/// The room of a delivery, until it is dropped.
#[derive(Debug)]
pub(crate) struct Occupied {
    room: Room,
    waiting_bytes: Gauge,
}

impl Sender {
    /// Waits for room for so many bytes and items; `None` when the exporter has ended.
    pub async fn room(&self, size_bytes: usize, items: usize) -> Option<Room> {
        let permits = self.permits(size_bytes);
        let bytes = Arc::clone(&self.room).acquire_many_owned(permits).await.ok()?;
        let count = match &self.count {
            None => None,
            Some((most, count)) => {
                let permits = count_permits(*most, items);
                Some(Arc::clone(count).acquire_many_owned(permits).await.ok()?)
            }
        };
        Some(Room { bytes, count })
    }

    /// Takes room if there is some now.
    pub fn try_room(&self, size_bytes: usize, items: usize) -> Option<Room> {
        let permits = self.permits(size_bytes);
        let bytes = Arc::clone(&self.room).try_acquire_many_owned(permits).ok()?;
        let count = match &self.count {
            None => None,
            Some((most, count)) => {
                let permits = count_permits(*most, items);
                Some(Arc::clone(count).try_acquire_many_owned(permits).ok()?)
            }
        };
        Some(Room { bytes, count })
    }

    /// Queues a delivery in the room that was taken for it. If the exporter has ended, the ack is
    /// told that the batch is lost.
    pub fn push(&self, room: Room, batch: Arc<Batch>, ack: Ack) {
        let waiting_bytes = self.waiting_bytes.clone();
        waiting_bytes.inc_by(room.size_bytes() as i64);
        let room = Occupied { room, waiting_bytes };
        drop(self.items.send(Queued { batch, ack, room }));
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
        (self.batch, self.ack, self.room)
    }

    /// How much room it takes.
    pub(crate) fn size_bytes(&self) -> usize {
        self.room.room.size_bytes()
    }
}

impl Room {
    fn size_bytes(&self) -> usize {
        self.bytes.num_permits()
    }
}

/// A delivery of more than the whole queue takes all of it.
fn count_permits(most: Counted, items: usize) -> u32 {
    match most {
        Counted::Requests(_) => 1,
        Counted::Items(most) => u32::try_from(items).unwrap_or(most).min(most),
    }
}

impl Occupied {
    /// Adds the room of another delivery of the same queue.
    fn merge(&mut self, mut other: Self) {
        // What is moved is taken from the other, so that its drop takes nothing from the gauge.
        if let Some(bytes) = other.room.bytes.split(other.room.bytes.num_permits()) {
            self.room.bytes.merge(bytes);
        }
        if let (Some(count), Some(other)) = (&mut self.room.count, other.room.count.take()) {
            count.merge(other);
        }
    }
}

impl Receiver {
    /// The next delivery; `None` when every sender is gone and nothing is left.
    pub async fn next(&mut self) -> Option<Queued> {
        match self.ahead.take() {
            Some(queued) => Some(queued),
            None => self.queue.recv().await,
        }
    }

    /// The next delivery, if there is one now and it is of `signal`.
    pub(crate) fn try_next_of(&mut self, signal: &str) -> Option<Queued> {
        let queued = self.ahead.take().or_else(|| self.queue.try_recv().ok())?;
        if queued.batch.signal() == signal {
            return Some(queued);
        }
        self.ahead = Some(queued);
        None
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.waiting_bytes.dec_by(self.room.size_bytes() as i64);
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
        let room = sender.try_room(900, 1).unwrap();
        sender.push(room, batch(), Ack::nobody());
        assert!(sender.try_room(300, 1).is_none(), "1,000 bytes have no room for 900 and 300");
        let text = metrics.encode().unwrap();
        assert!(text.contains("queue_bytes{exporter=\"store\"} 900"), "{text}");

        let queued = receiver.next().await.unwrap();
        assert!(sender.try_room(300, 1).is_none(), "it is still on its way");
        drop(queued);
        assert!(sender.try_room(300, 1).is_some());
    }

    #[tokio::test]
    async fn a_delivery_larger_than_the_queue_still_passes() {
        let (sender, _receiver) = bounded("store", 1_000, &SelfMetrics::new());
        assert!(sender.try_room(1_000_000, 1).is_some());
    }

    #[tokio::test]
    async fn a_queue_may_be_bounded_by_what_is_in_it_as_well() {
        for (most, items, fit) in [
            (Counted::Requests(2), 1_000, 2),
            (Counted::Items(10), 4, 2),
            (Counted::Items(10), 1_000, 1),
        ] {
            let (sender, mut receiver) = counted("q", 10_000, Some(most), &SelfMetrics::new());
            for _ in 0..fit {
                let room = sender.try_room(10, items).unwrap();
                sender.push(room, batch(), Ack::nobody());
            }
            assert!(sender.try_room(10, items).is_none(), "{most:?}");
            drop(receiver.next().await);
            assert!(sender.room(10, items).await.is_some(), "{most:?}");
        }
    }

    #[tokio::test]
    async fn joined_deliveries_have_the_room_of_all() {
        let metrics = SelfMetrics::new();
        let (sender, mut receiver) = counted("q", 1_000, Some(Counted::Requests(2)), &metrics);
        for _ in 0..2 {
            sender.push(sender.try_room(400, 1).unwrap(), batch(), Ack::nobody());
        }
        let first = receiver.next().await.unwrap();
        let joined = join(first, vec![receiver.try_next_of("traces").unwrap()]);
        assert_eq!(joined.size_bytes(), 800);
        assert!(sender.try_room(1, 1).is_none());
        drop(joined);
        assert!(sender.try_room(1_000, 1).is_some());
        let text = metrics.encode().unwrap();
        assert!(text.contains("queue_bytes{exporter=\"q\"} 0\n"), "{text}");
    }
}

//! The end of a pipeline: one stream of deliveries becomes one queue for each of its exporters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::queue::{Room, Sender};
use crate::sink::{Delivery, Full, Sink};

/// The queues of a pipeline's exporters.
#[derive(Debug)]
pub struct Fanout {
    /// One for each exporter.
    pub queues: Vec<Sender>,
}

impl Sink for Fanout {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (size_bytes, items) = (delivery.size_bytes, delivery.batch.items());
            let mut rooms = Vec::with_capacity(self.queues.len());
            for queue in &self.queues {
                // Without the room of an exporter that has ended, the delivery's ack is dropped: lost.
                let Some(room) = queue.room(size_bytes, items).await else { return };
                rooms.push(room);
            }
            self.push(delivery, rooms);
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let (size_bytes, items) = (delivery.size_bytes, delivery.batch.items());
        let rooms: Option<Vec<_>> =
            self.queues.iter().map(|queue| queue.try_room(size_bytes, items)).collect();
        self.push(delivery, rooms.ok_or(Full)?);
        Ok(())
    }
}

impl Fanout {
    fn push(&self, delivery: Delivery, rooms: Vec<Room>) {
        let batch = Arc::new(delivery.batch);
        for (queue, room) in self.queues.iter().zip(rooms) {
            queue.push(room, Arc::clone(&batch), delivery.ack.clone());
        }
        delivery.ack.delivered();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ack::{Ack, Outcome};
    use crate::queue::bounded;
    use crate::record::{Batch, SpanBatch};
    use crate::self_metrics::SelfMetrics;

    fn spans(size_bytes: usize) -> (Delivery, Arc<Mutex<Option<Outcome>>>) {
        let told = Arc::new(Mutex::new(None));
        let ack = Ack::new({
            let told = Arc::clone(&told);
            move |outcome| *told.lock().unwrap() = Some(outcome)
        });
        (Delivery { batch: Batch::Spans(SpanBatch::default()), size_bytes, ack }, told)
    }

    #[tokio::test]
    async fn a_delivery_is_done_when_every_exporter_has_it() {
        let self_metrics = SelfMetrics::new();
        let (one, mut first) = bounded("one", 10_000, &self_metrics);
        let (two, mut second) = bounded("two", 10_000, &self_metrics);
        let fanout = Fanout { queues: vec![one, two] };
        let (delivery, told) = spans(100);
        fanout.try_send(delivery).unwrap();
        first.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), None);
        second.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), Some(Outcome::Delivered));
    }

    #[tokio::test]
    async fn one_full_queue_refuses_for_all() {
        let self_metrics = SelfMetrics::new();
        let (one, mut first) = bounded("one", 10_000, &self_metrics);
        let (two, _second) = bounded("two", 1_000, &self_metrics);
        let fanout = Fanout { queues: vec![one, two] };
        fanout.try_send(spans(900).0).unwrap();
        let (refused, told) = spans(900);
        assert_eq!(fanout.try_send(refused), Err(Full));
        assert_eq!(*told.lock().unwrap(), Some(Outcome::Lost));
        drop(fanout);
        assert!(first.next().await.is_some());
        assert!(first.next().await.is_none(), "what one exporter has no room for, none gets");
    }
}

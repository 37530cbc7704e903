//! One stream of deliveries becomes one queue for each exporter of the signal.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::queue::Sender;
use crate::record::Batch;
use crate::self_metrics::{SelfMetrics, SignalReason};
use crate::sink::{Delivery, Full, Sink};

/// The queues of each signal.
#[derive(Debug)]
pub struct Fanout {
    /// The queues of those who take log records.
    pub logs: Vec<Sender>,
    /// The queues of those who take spans.
    pub traces: Vec<Sender>,
    /// The queues of those who take metrics.
    pub metrics: Vec<Sender>,
    /// Where drops are counted.
    pub self_metrics: Arc<SelfMetrics>,
}

impl Fanout {
    fn queues(&self, batch: &Batch) -> &[Sender] {
        match batch {
            Batch::Logs(_) => &self.logs,
            Batch::Spans(_) => &self.traces,
            Batch::Metrics(_) => &self.metrics,
        }
    }

    /// A signal that nobody takes is dropped and counted, and its source need not keep it.
    fn drop_unwanted(&self, delivery: Delivery) {
        let label = SignalReason { signal: delivery.batch.signal(), reason: "no_exporter" };
        let items = delivery.batch.items() as u64;
        self.self_metrics.export.dropped.get_or_create(&label).inc_by(items);
        delivery.ack.delivered();
    }
}

impl Sink for Fanout {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let queues = self.queues(&delivery.batch);
            if queues.is_empty() {
                return self.drop_unwanted(delivery);
            }
            let mut rooms = Vec::with_capacity(queues.len());
            for queue in queues {
                // Without the room of an exporter that has ended, the delivery's ack is dropped: lost.
                let Some(room) = queue.room(delivery.size_bytes).await else { return };
                rooms.push(room);
            }
            let batch = Arc::new(delivery.batch);
            for (queue, room) in queues.iter().zip(rooms) {
                queue.push(room, Arc::clone(&batch), delivery.ack.clone());
            }
            delivery.ack.delivered();
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let queues = self.queues(&delivery.batch);
        if queues.is_empty() {
            self.drop_unwanted(delivery);
            return Ok(());
        }
        let rooms: Option<Vec<_>> =
            queues.iter().map(|queue| queue.try_room(delivery.size_bytes)).collect();
        let rooms = rooms.ok_or(Full)?;
        let batch = Arc::new(delivery.batch);
        for (queue, room) in queues.iter().zip(rooms) {
            queue.push(room, Arc::clone(&batch), delivery.ack.clone());
        }
        delivery.ack.delivered();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ack::{Ack, Outcome};
    use crate::queue::bounded;
    use crate::record::{MetricBatch, SpanBatch};

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
        let self_metrics = Arc::new(SelfMetrics::new());
        let (one, mut first) = bounded("one", 10_000, &self_metrics);
        let (two, mut second) = bounded("two", 10_000, &self_metrics);
        let (logs, metrics) = (vec![], vec![]);
        let fanout = Fanout { logs, traces: vec![one, two], metrics, self_metrics };
        let (delivery, told) = spans(100);
        fanout.try_send(delivery).unwrap();
        first.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), None);
        second.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), Some(Outcome::Delivered));
    }

    #[tokio::test]
    async fn one_full_queue_refuses_for_all() {
        let self_metrics = Arc::new(SelfMetrics::new());
        let (one, mut first) = bounded("one", 10_000, &self_metrics);
        let (two, _second) = bounded("two", 1_000, &self_metrics);
        let (logs, metrics) = (vec![], vec![]);
        let fanout = Fanout { logs, traces: vec![one, two], metrics, self_metrics };
        fanout.try_send(spans(900).0).unwrap();
        let (refused, told) = spans(900);
        assert_eq!(fanout.try_send(refused), Err(Full));
        assert_eq!(*told.lock().unwrap(), Some(Outcome::Lost));
        drop(fanout);
        assert!(first.next().await.is_some());
        assert!(first.next().await.is_none(), "what one exporter has no room for, none gets");
    }

    #[tokio::test]
    async fn a_signal_without_an_exporter_is_counted_as_dropped() {
        let self_metrics = Arc::new(SelfMetrics::new());
        let (logs, traces, metrics) = (vec![], vec![], vec![]);
        let fanout = Fanout { logs, traces, metrics, self_metrics: Arc::clone(&self_metrics) };
        let mut batch = MetricBatch::default();
        batch.resource_metrics.push(crate::receive::testing::one_gauge_point());
        let delivery =
            Delivery { batch: Batch::Metrics(batch), size_bytes: 10, ack: Ack::nobody() };
        fanout.send(delivery).await;
        let text = self_metrics.encode().unwrap();
        assert!(
            text.contains("dropped_items_total{signal=\"metrics\",reason=\"no_exporter\"} 1"),
            "{text}"
        );
    }
}

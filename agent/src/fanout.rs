//! One stream of batches → one queue for each exporter that takes the signal.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::queue::{Queue, Slot};
use crate::record::Batch;
use crate::self_metrics::{SelfMetrics, SignalReason};
use crate::sink::{Delivery, Full, Sink};

/// Hands every batch to the queues of all exporters that take its signal. What no exporter takes
/// is counted as dropped.
pub struct Fanout {
    routes: Vec<Route>,
    metrics: Arc<SelfMetrics>,
}

/// The way to one exporter.
#[derive(Debug)]
pub struct Route {
    /// What waits in front of it.
    pub queue: Queue,
    /// The signals it takes, as [`Batch::signal`] names them.
    pub signals: &'static [&'static str],
}

impl Fanout {
    /// A fan-out to `routes`.
    pub fn new(routes: Vec<Route>, metrics: Arc<SelfMetrics>) -> Self {
        Self { routes, metrics }
    }

    /// Takes nothing more; the exporters see the end after what is queued.
    pub fn close(&self) {
        self.routes.iter().for_each(|route| route.queue.close());
    }

    fn takers(&self, batch: &Batch) -> impl Iterator<Item = &Queue> {
        let signal = batch.signal();
        let takes = move |route: &&Route| route.signals.contains(&signal);
        self.routes.iter().filter(takes).map(|route| &route.queue)
    }

    fn push(&self, slots: Vec<Slot<'_>>, delivery: Delivery) {
        if slots.is_empty() {
            self.dropped(&delivery.batch, "no_exporter");
            // Nobody wants it, so its source need not keep it.
            return delivery.ack.delivered();
        }
        let batch = Arc::new(delivery.batch);
        for slot in slots {
            slot.push(Arc::clone(&batch), delivery.ack.clone());
        }
        delivery.ack.delivered();
    }

    fn dropped(&self, batch: &Batch, reason: &'static str) {
        let labels = SignalReason { signal: batch.signal(), reason };
        self.metrics.export.dropped.get_or_create(&labels).inc_by(batch.items() as u64);
    }
}

impl Sink for Fanout {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let mut slots = Vec::with_capacity(self.routes.len());
            for queue in self.takers(&delivery.batch) {
                // Room that is held while waiting for more is given back by nobody else, but every
                // exporter empties its own queue, so this cannot stand still.
                match queue.reserve(delivery.size_bytes).await {
                    Some(slot) => slots.push(slot),
                    // Its ack says "lost" as it is dropped: the source still has the data.
                    None => return,
                }
            }
            self.push(slots, delivery);
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let slots: Option<Vec<_>> = self
            .takers(&delivery.batch)
            .map(|queue| queue.try_reserve(delivery.size_bytes))
            .collect();
        self.push(slots.ok_or(Full)?, delivery);
        Ok(())
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("routes", &self.routes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use crate::queue::Items;
    use crate::record::{LogBatch, LogRecord, MetricBatch, Resource, Text};
    use prometheus_client::metrics::gauge::Gauge;

    fn line() -> Batch {
        let record = LogRecord {
            time_unix_nano: 1,
            observed_time_unix_nano: 1,
            severity_number: 0,
            severity_text: String::new(),
            body: crate::record::Body::Text(Text::from("hello".to_owned())),
            attributes: Vec::new(),
            trace_id: None,
            span_id: None,
            flags: 0,
        };
        let resource = Arc::new(Resource::default());
        Batch::Logs(vec![LogBatch { resource, scope: None, records: vec![record] }])
    }

    fn delivery(batch: Batch) -> Delivery {
        Delivery { batch, size_bytes: 1_000, ack: Ack::nobody() }
    }

    fn two_routes(second_bytes: usize) -> (Fanout, Items, Items) {
        let (first, first_items) = Queue::new(10_000, Gauge::default());
        let (second, second_items) = Queue::new(second_bytes, Gauge::default());
        let routes = vec![
            Route { queue: first, signals: &["logs", "traces"] },
            Route { queue: second, signals: &["logs"] },
        ];
        (Fanout::new(routes, Arc::new(SelfMetrics::new())), first_items, second_items)
    }

    #[tokio::test]
    async fn a_full_queue_keeps_a_batch_out_of_all() {
        let (fanout, mut first, mut second) = two_routes(1_500);
        assert_eq!(fanout.try_send(delivery(line())), Ok(()));
        assert_eq!(fanout.try_send(delivery(line())), Err(Full));
        fanout.close();
        assert!(first.recv().await.is_some() && second.recv().await.is_some());
        assert!(first.recv().await.is_none(), "the refused batch must be in no queue");
    }

    #[tokio::test]
    async fn a_source_that_can_wait_goes_on_when_there_is_room() {
        let (fanout, _first, mut second) = two_routes(1_500);
        fanout.send(delivery(line())).await;
        let drained = async { drop(second.recv().await) };
        tokio::join!(fanout.send(delivery(line())), drained);
        assert!(second.try_recv().is_ok());
    }

    #[tokio::test]
    async fn what_nobody_takes_is_counted() {
        use opentelemetry_proto::tonic::metrics::v1::{
            Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        };
        let (fanout, ..) = two_routes(1_500);
        let points = Gauge { data_points: vec![NumberDataPoint::default(); 3] };
        let metric = Metric { data: Some(Data::Gauge(points)), ..Metric::default() };
        let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
        let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
        let batch = Batch::Metrics(MetricBatch { resource_metrics: vec![resource] });
        assert_eq!(fanout.try_send(delivery(batch)), Ok(()));
        let labels = SignalReason { signal: "metrics", reason: "no_exporter" };
        assert_eq!(fanout.metrics.export.dropped.get_or_create(&labels).get(), 3);
    }
}

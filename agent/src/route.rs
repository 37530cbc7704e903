//! The beginning of the pipelines: what a receiver takes goes to every pipeline of its signal that names the receiver.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::Signal;
use crate::record::Batch;
use crate::sink::{Delivery, Full, Sink};

/// The pipelines behind one receiver.
#[derive(Clone, Default)]
pub struct Routes {
    /// Those that carry log records.
    pub logs: Vec<Arc<dyn Sink>>,
    /// Those that carry spans.
    pub traces: Vec<Arc<dyn Sink>>,
    /// Those that carry metrics.
    pub metrics: Vec<Arc<dyn Sink>>,
}

impl Routes {
    /// Adds a pipeline.
    pub fn add(&mut self, signal: Signal, pipeline: Arc<dyn Sink>) {
        match signal {
            Signal::Traces => self.traces.push(pipeline),
            Signal::Metrics => self.metrics.push(pipeline),
            Signal::Logs => self.logs.push(pipeline),
        }
    }

    /// The signals that have a pipeline.
    pub fn signals(&self) -> Vec<Signal> {
        let has = |signal: &Signal| match signal {
            Signal::Traces => !self.traces.is_empty(),
            Signal::Metrics => !self.metrics.is_empty(),
            Signal::Logs => !self.logs.is_empty(),
        };
        [Signal::Traces, Signal::Metrics, Signal::Logs].into_iter().filter(has).collect()
    }

    fn pipelines(&self, batch: &Batch) -> &[Arc<dyn Sink>] {
        match batch {
            Batch::Logs(_) => &self.logs,
            Batch::Spans(_) => &self.traces,
            Batch::Metrics(_) => &self.metrics,
        }
    }
}

/// A receiver takes no signal that has no pipeline, so none is lost here.
impl Sink for Routes {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let Some((last, others)) = self.pipelines(&delivery.batch).split_last() else { return };
            for pipeline in others {
                pipeline.send(copy(&delivery)).await;
            }
            last.send(delivery).await;
        })
    }

    /// Where one pipeline has no room, those before it have the batch already; when its sender comes back, they get it
    /// a second time. The alternative would be to lose it for one of them.
    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        let pipelines = self.pipelines(&delivery.batch);
        let Some((last, others)) = pipelines.split_last() else { return Ok(()) };
        others.iter().try_for_each(|pipeline| pipeline.try_send(copy(&delivery)))?;
        last.try_send(delivery)
    }
}

fn copy(delivery: &Delivery) -> Delivery {
    let Delivery { batch, size_bytes, ack } = delivery;
    Delivery { batch: batch.clone(), size_bytes: *size_bytes, ack: ack.clone() }
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Routes").field(&self.signals()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ack::{Ack, Outcome};
    use crate::fanout::Fanout;
    use crate::queue::{Receiver, bounded};
    use crate::record::{MetricBatch, SpanBatch};
    use crate::self_metrics::SelfMetrics;

    fn pipeline(capacity_bytes: usize) -> (Arc<dyn Sink>, Receiver) {
        let (queue, receiver) = bounded("test", capacity_bytes, &SelfMetrics::new());
        (Arc::new(Fanout { queues: vec![queue] }), receiver)
    }

    fn spans(size_bytes: usize) -> (Delivery, Arc<Mutex<Option<Outcome>>>) {
        let told = Arc::new(Mutex::new(None));
        let tell = Arc::clone(&told);
        let ack = Ack::new(move |outcome| *tell.lock().unwrap() = Some(outcome));
        (Delivery { batch: Batch::Spans(SpanBatch::default()), size_bytes, ack }, told)
    }

    #[tokio::test]
    async fn every_pipeline_gets_a_copy_and_the_source_hears_when_all_have_it() {
        let ((one, mut first), (two, mut second)) = (pipeline(10_000), pipeline(10_000));
        let mut routes = Routes::default();
        routes.add(Signal::Traces, one);
        routes.add(Signal::Traces, two);
        let (delivery, told) = spans(100);
        routes.try_send(delivery).unwrap();
        first.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), None);
        second.next().await.unwrap().ack.delivered();
        assert_eq!(*told.lock().unwrap(), Some(Outcome::Delivered));
    }

    #[tokio::test]
    async fn a_signal_goes_to_its_own_pipelines() {
        let ((one, mut first), (two, mut second)) = (pipeline(10_000), pipeline(10_000));
        let mut routes = Routes::default();
        routes.add(Signal::Traces, one);
        routes.add(Signal::Metrics, two);
        let mut metrics = MetricBatch::default();
        metrics.resource_metrics.push(crate::receive::testing::one_gauge_point());
        let batch = Batch::Metrics(metrics);
        routes.send(Delivery { batch, size_bytes: 10, ack: Ack::nobody() }).await;
        drop(routes);
        assert!(first.next().await.is_none());
        assert_eq!(second.next().await.unwrap().batch.items(), 1);
    }

    #[tokio::test]
    async fn a_pipeline_without_room_refuses() {
        let ((one, _first), (two, _second)) = (pipeline(10_000), pipeline(1_000));
        let mut routes = Routes::default();
        routes.add(Signal::Traces, one);
        routes.add(Signal::Traces, two);
        routes.try_send(spans(900).0).unwrap();
        let (refused, told) = spans(900);
        assert_eq!(routes.try_send(refused), Err(Full));
        drop(routes);
        assert_eq!(*told.lock().unwrap(), None, "the first pipeline has it, and has not answered");
    }
}

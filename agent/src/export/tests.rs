use std::sync::Mutex;

use super::*;
use crate::ack::{Ack, Outcome};
use crate::queue::Queue;
use crate::record::SpanBatch;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prometheus_client::metrics::gauge::Gauge;

/// Answers as the script says, then with success.
struct Scripted(Vec<Option<ExportError>>);

impl Exporter for Scripted {
    fn export(
        &mut self,
        _: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(async {
            match (!self.0.is_empty()).then(|| self.0.remove(0)) {
                Some(Some(error)) => Err(error),
                Some(None) => panic!("an exporter's fault"),
                None => Ok(()),
            }
        })
    }
}

/// Never comes back.
struct Hanging;

impl Exporter for Hanging {
    fn export(
        &mut self,
        _: Arc<Batch>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ExportError>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

struct Run {
    outcomes: Vec<Outcome>,
    metrics: Arc<SelfMetrics>,
}

impl Run {
    fn dropped(&self, reason: &'static str) -> u64 {
        let labels = SignalReason { signal: "traces", reason };
        self.metrics.export.dropped.get_or_create(&labels).get()
    }

    fn exported(&self) -> u64 {
        let labels = SignalExporter { signal: "traces", exporter: "test".to_owned() };
        self.metrics.export.exported.get_or_create(&labels).get()
    }
}

/// Two spans, one per batch, through a worker until its queue is empty.
async fn two_spans_through(exporter: impl Exporter, phase: Phase) -> Run {
    let metrics = Arc::new(SelfMetrics::new());
    let (queue, items) = Queue::new(10_000, Gauge::default());
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..2 {
        let scope = ScopeSpans { spans: vec![Span::default()], ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let batch = Batch::Spans(SpanBatch { resource_spans: vec![resource] });
        let told = Arc::clone(&outcomes);
        let ack = Ack::new(move |outcome| told.lock().unwrap().push(outcome));
        queue.try_reserve(100).unwrap().push(Arc::new(batch), ack);
    }
    queue.close();
    let (_phase, phase) = watch::channel(phase);
    Worker::new("test", Box::new(exporter), items, Arc::clone(&metrics), phase).run().await;
    let outcomes = outcomes.lock().unwrap().clone();
    Run { outcomes, metrics }
}

fn down() -> Option<ExportError> {
    Some(ExportError::Unreachable("connection refused".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_until_it_passes() {
    let script = vec![down(), down(), down()];
    let run = two_spans_through(Scripted(script), Phase::Running).await;
    assert_eq!(run.outcomes, [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(run.exported(), 2);
}

#[tokio::test]
async fn what_will_never_be_taken_is_given_up_at_once_and_counted() {
    let run = two_spans_through(Scripted(vec![Some(ExportError::TooLarge)]), Phase::Running).await;
    assert_eq!(run.outcomes, [Outcome::Lost, Outcome::Delivered]);
    assert_eq!((run.dropped("too_large"), run.exported()), (1, 1));
}

#[tokio::test]
async fn a_panic_costs_its_own_batch_only() {
    let run = two_spans_through(Scripted(vec![None]), Phase::Running).await;
    assert_eq!(run.outcomes, [Outcome::Lost, Outcome::Delivered]);
    assert_eq!((run.dropped("refused"), run.exported()), (1, 1));
}

#[tokio::test]
async fn when_time_is_up_the_rest_is_given_up_and_counted() {
    let run = two_spans_through(Hanging, Phase::GivingUp).await;
    assert_eq!(run.outcomes, [Outcome::Lost, Outcome::Lost]);
    assert_eq!(run.dropped("shutdown"), 2);
}

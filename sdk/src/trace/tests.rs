//! The ledger is exact whatever the sender does.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
    TracerProvider as _,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::Resource;
use prost::Message as _;

use super::ledger::SpanLedger;
use super::processor::Processor;
use super::queue::SpanQueue;
use super::*;
use crate::config::{ExportConfig, OtlpConfig, Overrides};
use crate::otlp::{Answer, Sender};
use crate::vars::Reader;

const LONG: Duration = Duration::from_secs(10);

/// Answers its calls by a function of their number, and counts the spans that it took.
struct Scripted<F> {
    calls: AtomicU64,
    taken: Arc<Mutex<Vec<usize>>>,
    script: Arc<F>,
}

enum Act {
    Take,
    TakeBut(u64),
    Later,
    Refuse,
    Panic,
    Hang,
}

impl<F: Fn(u64) -> Act + Send + Sync + 'static> Sender for Scripted<F> {
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let (taken, script) = (Arc::clone(&self.taken), Arc::clone(&self.script));
        Box::pin(async move {
            let rejected = match script(call) {
                Act::Take => 0,
                Act::TakeBut(rejected) => rejected,
                Act::Later => return Answer::Later { wait: None, why: "later".into() },
                Act::Refuse => return Answer::Refused { why: "never".into() },
                Act::Panic => panic!("a sender that panics"),
                Act::Hang => std::future::pending().await,
            };
            let request = ExportTraceServiceRequest::decode(request).unwrap();
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            taken.lock().unwrap().push(scopes.map(|scope| scope.spans.len()).sum());
            Answer::Taken { rejected, message: String::new() }
        })
    }
}

struct Setup {
    spans: Spans,
    taken: Arc<Mutex<Vec<usize>>>,
}

fn export_config() -> ExportConfig {
    let vars = std::collections::HashMap::new();
    let export = Config::read(&Overrides::default(), &mut Reader::new(&vars)).export.unwrap();
    let millis = Duration::from_millis;
    let otlp = OtlpConfig { timeout: millis(200), ..export.otlp };
    ExportConfig { otlp, batch_spans: 10, delay: millis(20), ..export }
}

fn start_with(config: ExportConfig, script: impl Fn(u64) -> Act + Send + Sync + 'static) -> Setup {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let script = Arc::new(script);
    let sender = Scripted { calls: AtomicU64::new(0), taken: Arc::clone(&taken), script };
    let queue = Arc::new(SpanQueue::new(config.queue_spans, config.queue_bytes));
    let resource = Resource::builder_empty().build();
    exporter::spawn(Arc::clone(&queue), Some(Box::new(sender)), None, &config, &resource).unwrap();
    let processor = Processor::new(Arc::clone(&queue), config.batch_spans);
    let vars = std::collections::HashMap::new();
    let config = Config::read(&Overrides::default(), &mut Reader::new(&vars));
    let provider = provider(&config, Arc::new(processor));
    Setup { spans: Spans { provider, queue, timings: Arc::default() }, taken }
}

impl Setup {
    fn end_spans(&self, count: usize) {
        let tracer = self.spans.provider().tracer("test");
        for _ in 0..count {
            drop(tracer.start("work"));
        }
    }

    fn shutdown(&self, timeout: Duration) -> SpanLedger {
        self.spans.shutdown(Instant::now() + timeout);
        let ledger = self.spans.ledger();
        let accounted = ledger.exported + ledger.queued + ledger.dropped.total();
        assert_eq!(ledger.ended, accounted, "{ledger:?}");
        ledger
    }
}

#[test]
fn a_burst_is_delivered_whole_and_in_batches() {
    let setup = start_with(ExportConfig { batch_spans: 512, ..export_config() }, |_| Act::Take);
    setup.end_spans(10_000);
    let ledger = setup.shutdown(LONG);
    assert_eq!((ledger.exported, ledger.queued), (10_000, 0));
    assert!(setup.taken.lock().unwrap().iter().all(|batch| *batch <= 512));
}

#[test]
fn a_receiver_that_comes_back_gets_everything_once() {
    let setup = start_with(export_config(), |call| if call < 5 { Act::Later } else { Act::Take });
    setup.end_spans(100);
    assert_eq!(setup.shutdown(LONG).exported, 100);
    assert_eq!(setup.taken.lock().unwrap().iter().sum::<usize>(), 100);
}

#[test]
fn a_panic_costs_the_batch_it_held_and_no_other() {
    let script = |call| if call % 10 == 3 { Act::Panic } else { Act::Take };
    let setup = start_with(export_config(), script);
    setup.end_spans(200);
    let ledger = setup.shutdown(LONG);
    assert_eq!((ledger.exported, ledger.dropped.exporter_failed), (180, 20));
}

#[test]
fn a_sender_that_hangs_is_left_behind_and_its_batch_sent_again() {
    let setup = start_with(export_config(), |call| if call == 0 { Act::Hang } else { Act::Take });
    setup.end_spans(50);
    assert_eq!(setup.shutdown(LONG).exported, 50);
}

#[test]
fn refused_and_rejected_spans_are_counted_as_such() {
    let script = |call| match call {
        0 => Act::Refuse,
        1 => Act::TakeBut(3),
        _ => Act::TakeBut(1_000_000),
    };
    let setup = start_with(export_config(), script);
    setup.end_spans(30);
    let ledger = setup.shutdown(LONG);
    assert_eq!((ledger.exported, ledger.dropped.rejected), (7, 23));
}

#[test]
fn a_full_queue_drops_the_newest_and_the_shutdown_keeps_its_deadline() {
    let config = ExportConfig { queue_spans: 100, ..export_config() };
    let setup = start_with(config, |_| Act::Later);
    setup.end_spans(1_000);
    let began = Instant::now();
    let ledger = setup.shutdown(Duration::from_millis(500));
    assert!(began.elapsed() < Duration::from_millis(1_000), "{:?}", began.elapsed());
    assert_eq!((ledger.dropped.queue_full, ledger.dropped.shutdown), (900, 100));
    setup.end_spans(5);
    assert_eq!(setup.spans.ledger().ended, 1_000, "the provider is shut down");
}

#[test]
fn large_spans_are_bounded_by_their_bytes() {
    let config = ExportConfig { queue_bytes: 64 * 1024, ..export_config() };
    let setup = start_with(config, |_| Act::Later);
    let tracer = setup.spans.provider().tracer("test");
    for _ in 0..10 {
        let text = "x".repeat(10_000);
        let attribute = opentelemetry::KeyValue::new("payload", text);
        drop(tracer.span_builder("work").with_attributes([attribute]).start(&tracer));
    }
    let ledger = setup.shutdown(Duration::from_millis(100));
    assert_eq!(ledger.dropped.queue_full, 4, "64 KiB have room for six of 10 kB: {ledger:?}");
}

/// As much as the HTTP layers take of it.
fn caller_with_a_long_tracestate() -> SpanContext {
    let members = (0..30).map(|number| (format!("vendor{number}"), "x".repeat(250)));
    let state = TraceState::from_key_value(members).unwrap();
    SpanContext::new(TraceId::from(7), SpanId::from(9), TraceFlags::SAMPLED, true, state)
}

#[test]
fn what_callers_put_into_a_tracestate_counts_as_bytes() {
    let config = ExportConfig { queue_bytes: 64 * 1024, ..export_config() };
    let setup = start_with(config, |_| Act::Later);
    let tracer = setup.spans.provider().tracer("test");
    let caller = Context::new().with_remote_span_context(caller_with_a_long_tracestate());
    for _ in 0..20 {
        drop(tracer.start_with_context("work", &caller));
    }
    let ledger = setup.shutdown(Duration::from_millis(100));
    assert!(ledger.dropped.queue_full >= 12, "64 KiB have room for eight of 8 kB: {ledger:?}");
}

#[test]
fn a_batch_of_large_spans_stays_below_what_receivers_take() {
    let config = ExportConfig { batch_spans: 512, ..export_config() };
    let setup = start_with(config, |_| Act::Take);
    let tracer = setup.spans.provider().tracer("test");
    for _ in 0..100 {
        let attribute = opentelemetry::KeyValue::new("payload", "x".repeat(100_000));
        drop(tracer.span_builder("work").with_attributes([attribute]).start(&tracer));
    }
    assert_eq!(setup.shutdown(LONG).exported, 100);
    // A receiver of gRPC takes 4 MiB, unless it is told otherwise.
    let taken = setup.taken.lock().unwrap();
    assert!(taken.iter().all(|spans| spans * 100_000 < 4 * 1024 * 1024), "{taken:?}");
}

#[test]
fn a_flush_sends_at_once_what_would_wait() {
    let config = ExportConfig { delay: Duration::from_secs(3_600), ..export_config() };
    let setup = start_with(config, |_| Act::Take);
    setup.end_spans(3);
    assert!(setup.spans.flush(Instant::now() + LONG));
    assert_eq!(setup.spans.ledger().exported, 3);
}

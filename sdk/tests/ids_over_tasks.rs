//! Lines of tasks that wander over the threads of a runtime have the ids of the spans in which they were logged:
//! 100,000 of them, held against what OpenTelemetry says of the spans, and against the spans that were exported.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, global};
use spanline::{Sampler, testing};
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span, info, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const LINES: u64 = 100_000;
const DEEPEST: usize = 6;

/// The ids of a span, and whether it is sampled.
type Ids = (TraceId, SpanId, bool);

/// `None` where OpenTelemetry says that there is no span.
fn ids(context: &Context) -> Option<Ids> {
    let span = context.span().span_context().clone();
    span.is_valid().then(|| (span.trace_id(), span.span_id(), span.is_sampled()))
}

/// What OpenTelemetry says of a `tracing` span.
fn ids_of(span: &Span) -> Option<Ids> {
    ids(&span.context())
}

/// What all tasks share.
#[derive(Default)]
struct World {
    next_line: AtomicU64,
    /// Of each line, by its number.
    expected: Mutex<BTreeMap<u64, Option<Ids>>>,
    /// Spans that any task may use.
    spans: Mutex<Vec<Span>>,
    tasks: Mutex<JoinSet<()>>,
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
struct Walk {
    world: Arc<World>,
    random: fastrand::Rng,
}

impl Walk {
    fn fork(&mut self) -> Self {
        Self { world: Arc::clone(&self.world), random: self.random.fork() }
    }

    fn below(mut self, around: Option<Ids>, depth: usize) -> BoxedFuture {
        Box::pin(async move {
            for _ in 0..self.random.usize(1..6) {
                if self.world.next_line.load(Ordering::Relaxed) < LINES {
                    self.step(around, depth).await;
                }
            }
        })
    }

    async fn step(&mut self, around: Option<Ids>, depth: usize) {
        match self.random.u32(0..18) {
            0..5 => self.log(around, |number| info!(number, "in whatever is around")),
            5 => {
                let other = self.any_span();
                let ids = ids_of(&other);
                self.log(ids, |number| info!(parent: &other, number, "for another span"));
            }
            6 => self.log(None, |number| info!(parent: None, number, "for no span")),
            7 => tokio::task::yield_now().await,
            _ if depth == DEEPEST => {}
            8 => {
                let span = info_span!("child");
                let inside = ids_of(&span);
                self.fork().below(inside, depth + 1).instrument(span).await;
                self.log(around, |number| info!(number, "after the child"));
            }
            9 => {
                let span = info_span!(parent: None, "root");
                self.share(&span);
                let inside = ids_of(&span);
                self.fork().below(inside, depth + 1).instrument(span).await;
            }
            10 => {
                let span = info_span!(parent: None, "server");
                span.set_parent(self.remote_parent()).unwrap();
                let inside = ids_of(&span);
                self.fork().below(inside, depth + 1).instrument(span).await;
            }
            11 => {
                let span = self.any_span();
                let inside = ids_of(&span);
                self.fork().below(inside, depth + 1).instrument(span).await;
            }
            12 => {
                let span = global::tracer("raw").start("of the api alone");
                let context = Context::current_with_span(span);
                let inside = ids(&context);
                self.fork().below(inside, depth + 1).with_context(context).await;
            }
            13 => {
                // Not always the innermost: a span that is entered twice is current once.
                let inside = ids_of(&Span::current());
                let task = self.fork().below(inside, depth + 1).in_current_span();
                self.spawn(task);
            }
            14 => {
                let task = self.fork().below(None, depth + 1);
                self.spawn(task);
            }
            15 => {
                let walk = self.fork();
                spanline::spawn(walk.below(around, depth + 1)).await.unwrap();
            }
            16 => {
                let (mut walk, span) = (self.fork(), self.any_span());
                let enter = move || {
                    let inside = ids_of(&span);
                    span.in_scope(|| walk.log(inside, |n| info!(number = n, "on its thread")));
                    walk.log(None, |number| info!(number, "on a thread without a span"));
                };
                tokio::task::spawn_blocking(enter).await.unwrap();
            }
            _ => {
                let span = info_span!("entered");
                let inside = ids_of(&span);
                span.in_scope(|| self.log(inside, |number| info!(number, "without an await")));
            }
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.world.tasks.lock().unwrap().spawn(task);
    }

    fn log(&mut self, ids: Option<Ids>, write: impl FnOnce(u64)) {
        let number = self.world.next_line.fetch_add(1, Ordering::Relaxed);
        write(number);
        self.world.expected.lock().unwrap().insert(number, ids);
    }

    fn any_span(&mut self) -> Span {
        let spans = self.world.spans.lock().unwrap();
        self.random.choice(spans.iter()).cloned().unwrap_or_else(|| info_span!("first"))
    }

    fn share(&mut self, span: &Span) {
        let mut spans = self.world.spans.lock().unwrap();
        if spans.len() < 16 {
            spans.push(span.clone());
        } else {
            let replaced = self.random.usize(0..16);
            let old = std::mem::replace(&mut spans[replaced], span.clone());
            drop(spans);
            drop(old);
        }
    }

    fn remote_parent(&mut self) -> Context {
        let sampled = if self.random.bool() { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let trace = TraceId::from(self.random.u128(1..));
        let span = SpanId::from(self.random.u64(1..));
        let remote = SpanContext::new(trace, span, sampled, true, TraceState::default());
        Context::new().with_remote_span_context(remote)
    }
}

#[test]
fn each_line_of_100_000_has_the_ids_of_an_exported_or_unsampled_span_that_was_active() {
    let seed = fastrand::u64(..);
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.5)));
    let telemetry = testing::start_with(spanline::builder("tasks").sampler(sampler));
    // For the runtime's threads; this file has no other test.
    tracing::dispatcher::set_global_default(telemetry.dispatch()).unwrap();
    let world = Arc::new(World::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let mut rounds = 0;
        while world.next_line.load(Ordering::Relaxed) < LINES {
            for _ in 0..16 {
                let random = fastrand::Rng::with_seed(seed.wrapping_add(rounds));
                let walk = Walk { world: Arc::clone(&world), random };
                walk.spawn(walk.clone().below(None, 0));
                rounds += 1;
            }
            loop {
                // Tasks spawn others, so the lock is not held while one is awaited.
                let mut tasks = std::mem::take(&mut *world.tasks.lock().unwrap());
                if tasks.is_empty() {
                    break;
                }
                while let Some(ended) = tasks.join_next().await {
                    ended.unwrap();
                }
            }
        }
    });
    drop(runtime);
    world.spans.lock().unwrap().clear();

    let exported: HashSet<_> =
        telemetry.spans().iter().map(|span| (span.trace_id, span.span_id)).collect();
    let expected = world.expected.lock().unwrap();
    let lines = telemetry.lines();
    assert!(lines.len() as u64 >= LINES);
    assert_eq!(lines.len(), expected.len());
    let (mut sampled, mut unsampled, mut without) = (0, 0, 0);
    for line in &lines {
        let number = line["number"].as_u64().unwrap();
        let found = line.trace_id.zip(line.span_id);
        let found = found.map(|(trace, span)| (trace, span, line.is_sampled));
        assert_eq!(found, expected[&number], "seed {seed}: {line}");
        match found {
            Some((trace, span, is_sampled)) => {
                assert_eq!(exported.contains(&(trace, span)), is_sampled, "seed {seed}: {line}");
                *(if is_sampled { &mut sampled } else { &mut unsampled }) += 1;
            }
            None => without += 1,
        }
    }
    let least = LINES / 50;
    assert!(
        sampled > least && unsampled > least && without > least,
        "seed {seed}: hardly any lines of one kind: {sampled}, {unsampled}, {without}"
    );
}

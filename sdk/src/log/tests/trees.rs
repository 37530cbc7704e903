//! Random trees of spans over many threads: every line's ids are those of the span around it.

use std::collections::BTreeMap;

use tracing::{Span, info, info_span};

use super::*;

const THREADS: u64 = 8;
const LINES_EACH: u64 = 12_500;
const DEEPEST: usize = 8;

/// A line's number, and the ids that it must have.
type Expected = BTreeMap<u64, Option<SpanIds>>;

/// Opens, enters, leaves and hands over spans at random, and logs all along.
struct Walk<'a> {
    random: fastrand::Rng,
    next_line: u64,
    end: u64,
    expected: Expected,
    /// Spans that any thread may enter.
    shared: &'a Mutex<Vec<Span>>,
}

impl Walk<'_> {
    fn below(&mut self, around: Option<SpanIds>, depth: usize) {
        for _ in 0..self.random.usize(1..6) {
            if self.next_line == self.end {
                return;
            }
            match self.random.u32(0..8) {
                0..3 => self.log(around, |number| info!(number, "in whatever is around")),
                3 => {
                    let other = self.any_span();
                    let ids = ids_of_span(&other);
                    self.log(ids, |number| info!(parent: &other, number, "for another span"));
                }
                4 => self.log(None, |number| info!(parent: None, number, "for no span")),
                _ if depth == DEEPEST => {}
                5 => {
                    let span = self.any_span();
                    span.in_scope(|| self.below(ids_of_span(&span), depth + 1));
                }
                6 => {
                    let span = info_span!(parent: None, "root");
                    self.share(&span);
                    span.in_scope(|| self.below(ids_of_span(&span), depth + 1));
                }
                _ => {
                    let span = info_span!("child");
                    span.in_scope(|| self.below(ids_of_span(&span), depth + 1));
                    drop(span);
                    self.log(around, |number| info!(number, "after the child"));
                }
            }
        }
    }

    fn log(&mut self, ids: Option<SpanIds>, write: impl FnOnce(u64)) {
        if self.next_line < self.end {
            write(self.next_line);
            self.expected.insert(self.next_line, ids);
            self.next_line += 1;
        }
    }

    fn any_span(&mut self) -> Span {
        let shared = self.shared.lock().unwrap();
        self.random.choice(shared.iter()).cloned().unwrap_or_else(|| info_span!("first"))
    }

    fn share(&mut self, span: &Span) {
        let mut shared = self.shared.lock().unwrap();
        if shared.len() < 16 {
            shared.push(span.clone());
        } else {
            let replaced = self.random.usize(0..16);
            let old = std::mem::replace(&mut shared[replaced], span.clone());
            drop(shared);
            drop(old);
        }
    }
}

#[test]
fn every_line_of_random_span_trees_has_the_ids_of_its_span() {
    let seed = fastrand::u64(..);
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.5)));
    let mut settings = settings(LogFormat::Json);
    settings.queue_bytes = 64 * 1024 * 1024;
    let scene = Scene::of(&settings, sampler, Ended::default());
    let shared = Mutex::new(Vec::new());
    let walk = |thread: u64| {
        let mut walk = Walk {
            random: fastrand::Rng::with_seed(seed.wrapping_add(thread)),
            next_line: thread * LINES_EACH,
            end: (thread + 1) * LINES_EACH,
            expected: Expected::new(),
            shared: &shared,
        };
        tracing::dispatcher::with_default(&scene.dispatch, || {
            while walk.next_line < walk.end {
                walk.below(None, 0);
            }
        });
        walk.expected
    };
    let expected: Expected = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let walk = &walk;
                    move || walk(thread)
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let lines = scene.lines();
    assert_eq!(lines.len(), expected.len());
    for line in &lines {
        let number = line["number"].as_u64().unwrap();
        assert_eq!(ids_of(line), expected[&number], "seed {seed}: {line}");
    }
    let sampled = |wanted| lines.iter().filter_map(ids_of).any(|ids| ids.sampled == wanted);
    assert!(sampled(true) && sampled(false), "seed {seed}: one kind of span never came up");
}

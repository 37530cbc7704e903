//! Logging from inside logging, and from where hardly anything works any more.

use std::cell::{Cell, OnceCell};
use std::fmt;

use opentelemetry::trace::Tracer as _;
use tracing::{info, info_span, warn};

use super::alone::alone;
use super::*;

/// A scoped subscriber is not asked again while it is asked; the global one is.
fn global_scene() -> Scene {
    let scene = Scene::new();
    tracing::dispatcher::set_global_default(scene.dispatch.clone()).unwrap();
    scene
}

fn messages(lines: &[Json]) -> Vec<&str> {
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

/// Logs when it is printed for the first time, as often inside each other as it says. Only the first
/// time, since a nested event makes `tracing-subscriber` forget its per-layer filters for the outer
/// one: other layers print the value then, too.
struct Chatty {
    depth: u32,
    has_logged: Cell<bool>,
}

fn chatty(depth: u32) -> Chatty {
    Chatty { depth, has_logged: Cell::new(false) }
}

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth > 0 && !self.has_logged.replace(true) {
            info!(value = ?chatty(self.depth - 1), "printing {}", self.depth);
        }
        write!(f, "chatty {}", self.depth)
    }
}

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[test]
fn a_value_that_logs_while_it_is_printed_gives_whole_lines_with_ids() {
    alone("reentry::a_value_that_logs_while_it_is_printed_gives_whole_lines_with_ids", || {
        let scene = global_scene();
        let span = info_span!("around").entered();
        let expected = ids_of_span(&span);
        info!(value = ?chatty(1), "debug");
        info!("display: {}", chatty(1));
        let lines = scene.lines();
        assert_eq!(messages(&lines), ["printing 1", "debug", "printing 1", "display: chatty 1"]);
        assert_eq!(lines[1]["value"], "chatty 1");
        assert!(expected.is_some() && lines.iter().all(|line| ids_of(line) == expected));
    });
}

#[test]
fn a_value_that_logs_for_ever_is_stopped_and_counted() {
    alone("reentry::a_value_that_logs_for_ever_is_stopped_and_counted", || {
        let scene = global_scene();
        let own =
            |lines: Vec<Json>| lines.iter().filter(|line| line["target"] != "spanline").count();
        for written in [4, 8] {
            info!(value = ?chatty(100), "the first of them");
            assert_eq!(own(scene.lines()), written);
        }
        let ledger = scene.lines.ledger();
        assert!(ledger.dropped.recursion > 0, "{ledger:?}");
        assert_eq!(ledger.written, 8);
        assert_exact(ledger);
    });
}

#[test]
fn a_value_that_panics_while_it_is_printed_spoils_no_later_line() {
    struct Broken;
    impl fmt::Debug for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("this value cannot be printed, as the test wants it")
        }
    }
    let scene = Scene::new();
    let lines = scene.run(|| {
        for _ in 0..10 {
            let logged = || info!(broken = ?Broken, "never seen");
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(logged)).unwrap_err();
        }
        info!("still here");
    });
    assert_eq!(messages(&lines), ["still here"]);
    assert_exact(scene.lines.ledger());
}

#[test]
fn a_value_that_fails_to_print_costs_only_itself() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half").and(Err(fmt::Error))
        }
    }
    let scene = Scene::new();
    let lines = scene.run(|| info!(broken = %Fails, sku = 12, "the rest is there"));
    assert_eq!((&lines[0]["broken"], &lines[0]["sku"]), (&"half".into(), &12.into()));
}

/// Logs where spans end, as a careless one does.
#[derive(Debug)]
struct LogsSpans;

impl span::Sink for LogsSpans {
    fn take(&self, _span: &mut Option<span::Ended>) {
        warn!("a span ends");
    }
}

#[test]
fn what_takes_spans_may_log() {
    let scene = Scene::of(&settings(LogFormat::Json), Sampler::AlwaysOn, LogsSpans);
    let lines = scene.run(|| {
        info_span!("a tracing span").in_scope(|| info!("inside"));
        drop(scene.provider.tracer("raw").start("a raw span"));
    });
    assert_eq!(messages(&lines), ["inside", "a span ends", "a span ends"]);
}

#[test]
fn opentelemetrys_own_events_are_written_without_asking_for_ids() {
    let scene = Scene::new();
    let lines = scene.run(|| {
        let _span = info_span!("around").entered();
        warn!(target: "opentelemetry_sdk", "from inside its locks");
    });
    assert_eq!(ids_of(&lines[0]), None);
}

#[test]
fn a_thread_locals_destructor_may_log_whatever_is_gone_by_then() {
    struct LogsWhenDropped;
    impl Drop for LogsWhenDropped {
        fn drop(&mut self) {
            info!("the last words");
        }
    }
    thread_local!(static LATE: OnceCell<LogsWhenDropped> = const { OnceCell::new() });
    // It is registered first, hence dropped last: after the context, our buffers, and all else.
    fn on_a_thread(program: fn()) {
        let thread = thread::spawn(move || {
            LATE.with(|late| late.set(LogsWhenDropped).ok());
            program();
        });
        thread.join().unwrap();
    }
    let output =
        alone("reentry::a_thread_locals_destructor_may_log_whatever_is_gone_by_then", || {
            let scene = global_scene();
            install_panic_hook(&scene.lines);
            on_a_thread(|| ());
            on_a_thread(|| info!("without a span"));
            on_a_thread(|| info_span!("a span").in_scope(|| info!("in it")));
            // Here the context is used and gone before we ever asked for it.
            on_a_thread(|| info_span!("a span").in_scope(|| ()));
            let lines = scene.lines();
            let last = "the last words";
            assert_eq!(messages(&lines), [last, "without a span", last, "in it", last, last]);
            assert!(lines.iter().all(|line| line["message"] != last || ids_of(line).is_none()));
            assert_eq!(scene.lines.panics(), 0);
        });
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// A sampler that logs.
#[derive(Clone, Debug)]
struct LogsSampling;

impl opentelemetry_sdk::trace::ShouldSample for LogsSampling {
    fn should_sample(
        &self,
        _parent: Option<&opentelemetry::Context>,
        _trace_id: opentelemetry::trace::TraceId,
        name: &str,
        _kind: &opentelemetry::trace::SpanKind,
        _attributes: &[opentelemetry::KeyValue],
        _links: &[opentelemetry::trace::Link],
    ) -> opentelemetry_sdk::trace::SamplingResult {
        warn!("sampling {name}");
        opentelemetry_sdk::trace::SamplingResult {
            decision: opentelemetry_sdk::trace::SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: opentelemetry::trace::TraceState::default(),
        }
    }
}

#[test]
fn a_sampler_may_log() {
    let sampler = Sampler::ParentBased(Box::new(LogsSampling));
    let scene = Scene::sampling(sampler);
    let lines = scene.run(|| info_span!("one").in_scope(|| info!("inside")));
    assert_eq!(messages(&lines), ["sampling one", "inside"]);
}

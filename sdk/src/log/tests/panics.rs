//! A panic is a line.

use std::panic;

use opentelemetry::trace::Status;
use tracing::info_span;

use super::alone::alone;
use super::*;

fn scene_with_hook() -> Scene {
    let scene = Scene::new();
    install_panic_hook(&scene.lines);
    scene
}

fn panics_in_a_span(scene: &Scene) -> Option<SpanIds> {
    tracing::dispatcher::with_default(&scene.dispatch, || {
        let span = info_span!("request").entered();
        let ids = ids_of_span(&span);
        let handler = || panic!("cannot divide {} by zero\nreally", 7);
        panic::catch_unwind(handler).unwrap_err();
        ids
    })
}

#[test]
fn a_panic_is_one_line_with_ids_in_place_of_the_standard_text() {
    let output =
        alone("panics::a_panic_is_one_line_with_ids_in_place_of_the_standard_text", || {
            let scene = scene_with_hook();
            let expected = panics_in_a_span(&scene);
            // The hook has flushed.
            assert_eq!(scene.lines.ledger().written, 1);
            let lines = scene.lines();
            assert!(expected.is_some() && ids_of(&lines[0]) == expected, "{lines:?}");
            assert_eq!(lines[0]["level"], "error");
            assert_eq!(lines[0]["message"], "panicked: cannot divide 7 by zero\nreally");
            let location = lines[0]["location"].as_str().unwrap();
            assert!(location.contains("panics.rs:"), "{location}");
            assert_eq!((lines.len(), scene.lines.panics()), (1, 1));
        });
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_hook_that_the_program_had_set_still_runs() {
    let output = alone("panics::a_hook_that_the_program_had_set_still_runs", || {
        panic::set_hook(Box::new(|_| eprintln!("the program's own hook")));
        let scene = scene_with_hook();
        panics_in_a_span(&scene);
        assert_eq!(scene.lines().len(), 1);
    });
    assert_eq!(String::from_utf8_lossy(&output.stderr), "the program's own hook\n");
}

#[test]
fn a_panic_while_the_output_is_stuck_is_over_soon() {
    alone("panics::a_panic_while_the_output_is_stuck_is_over_soon", || {
        let (lines, _reader) = blocked(&settings(LogFormat::Text));
        install_panic_hook(&lines);
        panic::catch_unwind(|| panic!("nobody reads this")).unwrap_err();
        assert_eq!((lines.ledger().emitted, lines.ledger().written), (1, 0));
    });
}

#[test]
fn a_panic_without_text_and_one_in_a_thread_are_lines_too() {
    alone("panics::a_panic_without_text_and_one_in_a_thread_are_lines_too", || {
        let scene = scene_with_hook();
        panic::catch_unwind(|| panic::panic_any(7)).unwrap_err();
        thread::Builder::new()
            .name("worker".into())
            .spawn(|| panic!("in a thread"))
            .unwrap()
            .join()
            .unwrap_err();
        let lines = scene.lines();
        assert_eq!(lines[0]["message"], "panicked: a value that is not text");
        assert_eq!(lines[1]["thread"], "worker");
        assert_eq!(scene.lines.panics(), 2);
    });
}

#[test]
fn a_panic_fails_the_active_span() {
    alone("panics::a_panic_fails_the_active_span", || {
        let ended = Ended::default();
        let scene = Scene::of(&settings(LogFormat::Json), Sampler::AlwaysOn, ended.clone());
        install_panic_hook(&scene.lines);
        let ids = panics_in_a_span(&scene).unwrap();
        let spans = ended.0.lock().unwrap();
        assert_eq!(spans[0].span_context.span_id().to_bytes(), ids.span_id);
        let message = "cannot divide 7 by zero\nreally";
        assert_eq!(spans[0].status, Status::error(format!("panicked: {message}")));
        let [event] = &spans[0].events.events[..] else { panic!("{:?}", spans[0].events) };
        let attributes: Vec<_> =
            event.attributes.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
        let expected = [("exception.type", "panic".into()), ("exception.message", message.into())];
        assert_eq!((&*event.name, attributes), ("exception", expected.to_vec()));
    });
}

#[test]
fn a_value_that_panics_while_it_is_written_is_told_in_the_format_of_all_lines() {
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no text of it")
        }
    }
    alone(
        "panics::a_value_that_panics_while_it_is_written_is_told_in_the_format_of_all_lines",
        || {
            let scene = scene_with_hook();
            tracing::dispatcher::with_default(&scene.dispatch, || {
                let event = || tracing::info!(value = ?Panics, "never written");
                panic::catch_unwind(event).unwrap_err();
            });
            assert_eq!(scene.lines()[0]["message"], "panicked: no text of it");
        },
    );
}

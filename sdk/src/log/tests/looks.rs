//! Templates, formats of one's own, and fields that events do not bring along.

use std::sync::Arc;

use tracing::{info, info_span};

use super::super::own::{Format, Line};
use super::*;

fn with(format: LogFormat, change: impl FnOnce(&mut LineOptions)) -> LogSettings {
    let mut settings = settings(format);
    change(&mut settings.options);
    settings
}

fn scene(settings: &LogSettings) -> Scene {
    Scene::of(settings, Sampler::AlwaysOn, Ended::default())
}

fn text_of(scene: &Scene) -> Vec<String> {
    assert!(scene.lines.flush(soon()));
    scene.memory.lines()
}

#[test]
fn a_template_says_what_stands_where_and_leaves_out_what_is_not_there() {
    let template = "{level}|{[ids] }{target}| {message}{ fields}";
    let scene = scene(&with(LogFormat::Text, |options| options.template = Some(template.into())));
    let mut ids = None;
    tracing::dispatcher::with_default(&scene.dispatch, || {
        info!(target: "shop", sku = 12, "added\nitem");
        info_span!("s").in_scope(|| {
            ids = context::active();
            info!(target: "shop", "no fields");
        });
    });
    let ids = ids.unwrap();
    let (trace, span) = (ids.trace_hex(), ids.span_hex());
    let hex = |digits: &[u8]| String::from_utf8(digits.to_vec()).unwrap();
    let second = format!("INFO|[trace_id={} span_id={}] shop| no fields", hex(&trace), hex(&span));
    assert_eq!(text_of(&scene), ["INFO|shop| added\\nitem sku=12", &second]);
}

#[test]
fn fields_that_are_called_like_keys_of_the_format_never_share_one() {
    for format in [LogFormat::Json, LogFormat::Winston, LogFormat::Logfmt] {
        let scene = scene(&with(format, |_| ()));
        tracing::dispatcher::with_default(&scene.dispatch, || {
            info!(field_level = 2, level = 1, field_field_level = 3, field_sku = 4, "m");
            info!(field_level = 5, "alone");
        });
        let lines = text_of(&scene);
        for (key, value) in
            [("field_level", 1), ("field_field_level", 2), ("field_field_field_level", 3)]
        {
            let expected = match format {
                LogFormat::Logfmt => format!(" {key}={value} "),
                _ => format!("\"{key}\":{value},"),
            };
            assert_eq!(lines[0].matches(&expected).count(), 1, "{expected} in {}", lines[0]);
        }
        assert!(lines[0].contains("field_sku") && !lines[0].contains("field_field_sku"));
        assert!(!lines[1].contains("field_field_level"), "{}", lines[1]);
    }
}

/// Writes whatever it likes, most of it bad.
struct Careless;

impl Format for Careless {
    fn write(&self, line: &mut Line<'_>) {
        line.push("\u{1b}[31mtrace_id=dead span_id=beef\n");
        line.message();
        line.push(" ");
        line.ids();
        line.fields();
        if line.level() == Level::WARN {
            line.push(&"long ".repeat(10_000));
        }
    }
}

#[test]
fn a_format_of_ones_own_can_break_no_line_and_forge_no_ids() {
    let scene = scene(&with(LogFormat::Text, |o| o.own = Some(Own(Arc::new(Careless)))));
    tracing::dispatcher::with_default(&scene.dispatch, || {
        info!("outside trace_id=1");
        info_span!("s").in_scope(|| info!("inside"));
        info_span!("s").in_scope(|| tracing::warn!(sku = 12, "too long"));
    });
    let lines = text_of(&scene);
    let start = "\\x1b[31mtrace_id\\x3ddead span_id\\x3dbeef\\n";
    assert_eq!(lines[0], format!("{start}outside trace_id\\x3d1 "));
    assert!(lines[1].starts_with(&format!("{start}inside trace_id=")), "{}", lines[1]);
    assert!(lines[2].starts_with("[trace_id=") && lines[2].ends_with(" bytes]"), "{}", lines[2]);
    assert!(lines.len() == 3 && lines.iter().all(|line| line.len() < 16_000));
}

/// Puts single fields where it wants them.
struct Picks;

impl Format for Picks {
    fn write(&self, line: &mut Line<'_>) {
        line.field("user");
        for name in ["sku", "ratio", "user", "none"] {
            line.push(" ");
            line.json_field(name);
        }
        line.push(if line.has_field("sku") { " has a sku" } else { "" });
        line.push(if line.has_field("none") { " has none" } else { "" });
        line.field("none");
    }
}

#[test]
fn a_format_of_ones_own_has_single_fields_as_text_and_typed_as_json() {
    let scene = scene(&with(LogFormat::Text, |o| o.own = Some(Own(Arc::new(Picks)))));
    tracing::dispatcher::with_default(&scene.dispatch, || {
        info!(user = "{\"trace_id\":\n1}", sku = 12, ratio = f64::NAN, "message");
    });
    let start = r#"\x7b"trace_id":\n1} 12 "NaN""#;
    let json = r#""{\"trace_id\":\n1}" null has a sku"#;
    assert_eq!(text_of(&scene), [format!("{start} {json}")]);
}

struct Panics;

impl Format for Panics {
    fn write(&self, _: &mut Line<'_>) {
        panic!("this format panics, as the test wants it")
    }
}

#[test]
fn a_format_that_panics_costs_its_looks_and_not_the_line() {
    super::alone::alone("looks::a_format_that_panics_costs_its_looks_and_not_the_line", || {
        let scene = scene(&with(LogFormat::Json, |o| o.own = Some(Own(Arc::new(Panics)))));
        install_panic_hook(&scene.lines);
        tracing::dispatcher::with_default(&scene.dispatch, || info!(target: "shop", "still here"));
        let lines = text_of(&scene);
        assert!(lines[0].contains(" ERROR panic: panicked: this format panics"), "{lines:?}");
        assert!(lines[1].ends_with(" INFO shop: still here"), "{lines:?}");
    });
}

#[test]
fn of_fields_with_one_name_the_nearest_to_the_event_is_on_the_line() {
    let scene = scene(&with(LogFormat::Json, |options| {
        options.span_fields = Some(true);
        options.fields = vec![("who".into(), "fixed".into()), ("shard".into(), 7.into())];
        let hook = |extra: &mut Extra<'_>| {
            extra.add("who", "hook");
            extra.add("ratio", 0.5);
        };
        options.hook = Some(Own(Arc::new(hook)));
    }));
    let lines = scene.run(|| {
        let outer = info_span!("outer", who = "outer", of_outer = true, late = 0).entered();
        let inner = info_span!("inner", late = tracing::field::Empty, of_inner = -1).entered();
        inner.record("late", 2);
        info!(who = "event", "first");
        drop(inner);
        info!("second");
        outer.record("late", 3);
        drop(outer);
        info!("third");
    });
    let fields = |line: &Json| {
        ["who", "of_outer", "late", "of_inner", "ratio", "shard"].map(|name| line[name].clone())
    };
    let json = |text: &str| serde_json::from_str::<[Json; 6]>(text).unwrap();
    assert_eq!(fields(&lines[0]), json(r#"["event", true, 2, -1, 0.5, 7]"#));
    assert_eq!(fields(&lines[1]), json(r#"["hook", true, 0, null, 0.5, 7]"#));
    assert_eq!(fields(&lines[2]), json(r#"["hook", null, null, null, 0.5, 7]"#));
}

#[test]
fn the_target_can_go_and_location_and_thread_can_come_in_every_format() {
    for format in LogFormat::ALL {
        let scene = scene(&with(format, |options| {
            options.target = Some(false);
            options.location = Some(true);
            options.thread = Some(true);
        }));
        tracing::dispatcher::with_default(&scene.dispatch, || {
            thread::scope(|scope| {
                let named = thread::Builder::new().name("worker-7".into());
                let dispatch = &scene.dispatch;
                let work = || {
                    tracing::dispatcher::with_default(dispatch, || info!(target: "shop", "hi"));
                };
                named.spawn_scoped(scope, work).unwrap();
            });
        });
        let line = text_of(&scene).remove(0);
        assert!(!line.contains("shop") && line.contains("worker-7"), "{format}: {line}");
        assert!(line.contains("looks.rs:"), "{format}: {line}");
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let scene = scene(&with(LogFormat::Text, |options| options.colors = Some(true)));
    tracing::dispatcher::with_default(&scene.dispatch, || info!("plain"));
    let output = LogOutput::File("/dev/null".into());
    assert!(!output.is_terminal() && !text_of(&scene)[0].contains('\u{1b}'));
}

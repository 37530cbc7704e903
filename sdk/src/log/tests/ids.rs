//! The ids on a line are those of the span in which, or for which, it was logged.

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, info, info_span};
use tracing_log::log;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

fn only(lines: &[Json]) -> &Json {
    assert_eq!(lines.len(), 1, "{lines:?}");
    &lines[0]
}

fn remote(sampled: bool) -> OtelContext {
    OtelContext::new().with_remote_span_context(SpanContext::new(
        TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128),
        SpanId::from(0x00f0_67aa_0ba9_02b7_u64),
        if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        true,
        TraceState::default(),
    ))
}

#[test]
fn an_event_has_the_ids_of_the_span_around_it_and_none_outside() {
    let scene = Scene::new();
    let mut expected = Vec::new();
    let lines = scene.run(|| {
        info!("before");
        let outer = info_span!("outer").entered();
        info!("outer");
        let inner = info_span!("inner").entered();
        info!("inner");
        expected = vec![None, ids_of_span(&outer), ids_of_span(&inner), ids_of_span(&outer), None];
        drop(inner);
        info!("outer again");
        drop(outer);
        info!("after");
    });
    assert_eq!(lines.iter().map(ids_of).collect::<Vec<_>>(), expected);
    let [_, Some(outer), Some(inner), ..] = expected[..] else { panic!("{expected:?}") };
    assert_eq!(outer.trace_id, inner.trace_id);
    assert_ne!(outer.span_id, inner.span_id);
    assert!(outer.sampled);
}

#[test]
fn an_explicit_parent_wins_over_the_span_around_and_none_means_none() {
    let scene = Scene::new();
    let mut expected = Vec::new();
    let lines = scene.run(|| {
        let elsewhere = info_span!(parent: None, "elsewhere");
        let _around = info_span!("around").entered();
        info!(parent: &elsewhere, "for the span elsewhere");
        info!(parent: None, "for no span");
        expected = vec![ids_of_span(&elsewhere), None];
    });
    assert_eq!(lines.iter().map(ids_of).collect::<Vec<_>>(), expected);
    assert!(expected[0].is_some());
}

#[test]
fn an_unsampled_span_has_ids_too() {
    let scene = Scene::sampling(Sampler::AlwaysOff);
    let mut expected = None;
    let lines = scene.run(|| {
        let span = info_span!("unsampled").entered();
        info!("in it");
        expected = ids_of_span(&span);
    });
    assert!(!expected.unwrap().sampled);
    assert_eq!(ids_of(only(&lines)), expected);
    assert_eq!(only(&lines)["trace_flags"], "00");
}

#[test]
fn a_remote_parents_trace_goes_on() {
    for sampled in [true, false] {
        let scene = Scene::sampling(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        let lines = scene.run(|| {
            let span = info_span!("server");
            span.set_parent(remote(sampled)).unwrap();
            span.in_scope(|| info!("served"));
        });
        let ids = ids_of(only(&lines)).unwrap();
        assert_eq!(&ids.trace_hex(), b"0af7651916cd43dd8448eb211c80319c");
        assert_ne!(&ids.span_hex(), b"00f067aa0ba902b7");
        assert_eq!(ids.sampled, sampled);
    }
}

#[test]
fn a_span_takes_its_ids_along_to_another_thread() {
    let scene = Scene::new();
    let mut expected = None;
    scene.run(|| {
        let span = info_span!("travels");
        let dispatch = scene.dispatch.clone();
        let travels = span.clone();
        thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || travels.in_scope(|| info!("there")));
        })
        .join()
        .unwrap();
        info!("here, outside of it");
        expected = ids_of_span(&span);
    });
    let lines = scene.lines();
    assert_eq!((ids_of(&lines[0]), ids_of(&lines[1])), (expected, None));
    assert!(expected.is_some());
}

#[tokio::test]
async fn a_task_has_the_ids_of_the_span_it_was_given_and_else_none() {
    use tracing::Instrument as _;
    let scene = Scene::new();
    let _scope = tracing::dispatcher::set_default(&scene.dispatch);
    let span = info_span!("request");
    let expected = ids_of_span(&span);
    async {
        tokio::spawn(async { info!("in the span") }.in_current_span()).await.unwrap();
        tokio::spawn(async { info!("on its own") }).await.unwrap();
        tokio::task::yield_now().await;
        info!("back");
    }
    .instrument(span)
    .await;
    let lines = scene.lines();
    assert_eq!(lines.iter().map(ids_of).collect::<Vec<_>>(), [expected, None, expected]);
    assert!(expected.is_some());
}

#[test]
fn a_span_of_the_opentelemetry_api_alone_is_seen() {
    let scene = Scene::new();
    let mut expected = None;
    let lines = scene.run(|| {
        let span = scene.provider.tracer("raw").start("no tracing span here");
        let context = OtelContext::current_with_span(span);
        expected = SpanIds::of_context(&context);
        let _active = context.attach();
        info!("in it");
    });
    assert!(expected.is_some());
    assert_eq!(ids_of(only(&lines)), expected);
}

#[test]
fn an_event_of_the_log_crate_is_like_any_other() {
    let scene = Scene::new();
    let mut expected = None;
    let lines = scene.run(|| {
        let span = info_span!("around").entered();
        let mut record = log::Record::builder();
        record.target("legacy::module").level(log::Level::Warn);
        record.file(Some("src/legacy/module.rs")).line(Some(7)).module_path(Some("legacy"));
        tracing_log::format_trace(&record.args(format_args!("from log {}", 1)).build()).unwrap();
        expected = ids_of_span(&span);
    });
    let line = only(&lines);
    assert_eq!(ids_of(line), expected);
    assert_eq!((&line["target"], &line["level"]), (&"legacy::module".into(), &"warn".into()));
    assert_eq!(line["message"], "from log 1");
    assert_eq!(line.as_object().unwrap().len(), 7, "its metadata are no fields: {line}");
}

#[test]
fn each_subscriber_sees_the_spans_of_its_own() {
    let (one, other) = (Scene::new(), Scene::new());
    let mut expected = (None, None);
    one.run(|| {
        let outer = info_span!("outer").entered();
        expected.0 = ids_of_span(&outer);
        other.run(|| {
            let span = info_span!(parent: None, "inner");
            info!(parent: &span, "for the inner");
            expected.1 = ids_of_span(&span);
        });
        info!("in the outer");
    });
    assert_eq!(ids_of(only(&one.lines())), expected.0);
    assert_eq!(ids_of(only(&other.lines())), expected.1);
    assert_ne!(expected.0, expected.1);
}

#[test]
fn without_an_opentelemetry_layer_there_are_lines_without_ids() {
    let (layer, lines, memory) = in_memory(&settings(LogFormat::Text));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("no ids").entered();
        info!("around");
        info!(parent: &Span::current(), "explicit");
        drop(span);
    });
    assert!(lines.flush(soon()));
    assert!(memory.lines().iter().all(|line| !line.contains("trace_id")));
    assert_eq!(memory.lines().len(), 2);
}

/// A layer that says when a span closes.
struct TellsOfClosing;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for TellsOfClosing {
    fn on_close(&self, id: tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
        info!(parent: id, "closing");
    }
}

#[test]
fn an_event_of_the_closing_of_a_span_has_its_ids() {
    let (layer, lines, memory) = in_memory(&settings(LogFormat::Json));
    let provider = SdkTracerProvider::builder().build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer).with(TellsOfClosing).with(spans);
    let mut expected = None;
    // A scoped subscriber is not asked again while it is asked; the global one is.
    let output = super::alone::alone("ids::an_event_of_the_closing_of_a_span_has_its_ids", || {
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let span = info_span!("closes");
        expected = ids_of_span(&span);
        drop(span);
        assert!(lines.flush(soon()));
        let seen: Vec<Json> =
            memory.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(expected.is_some());
        assert_eq!(ids_of(only(&seen)), expected);
    });
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

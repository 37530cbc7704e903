//! A span of ours is to its user what one of the SDK is.

use std::sync::Mutex;

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, Value};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample, SpanData};
use std::sync::Arc;
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<SpanData>>);

impl Sink for Kept {
    fn take(&self, span: &mut Option<Ended>) {
        self.0.lock().unwrap().extend(span.take().map(Ended::into_data));
    }
}

impl Kept {
    fn only(&self) -> SpanData {
        let mut spans = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }
}

struct Scene {
    ended: Arc<Kept>,
    provider: Provider,
    tracer: Tracer,
}

fn scene(sampler: Sampler, limits: Limits) -> Scene {
    let ended = Arc::new(Kept::default());
    let sampling = Sampling { sampler, reads_attributes: false };
    let provider = Provider::new(sampling, limits, Arc::<Kept>::clone(&ended));
    let tracer = provider.tracer("test");
    Scene { ended, provider, tracer }
}

fn all() -> Scene {
    scene(Sampler::AlwaysOn, Limits::default())
}

fn parent_based(root: Sampler) -> Sampler {
    Sampler::ParentBased(Box::new(root))
}

fn caller(flags: TraceFlags) -> SpanContext {
    let state = TraceState::from_key_value([("vendor", "x")]).unwrap();
    SpanContext::new(TraceId::from(7), SpanId::from(9), flags, true, state)
}

fn start<'a>(parent: Parent<'a>) -> Start<'a, impl Fn(&mut Content) + use<'a>> {
    let content = |content: &mut Content| content.attributes.push(KeyValue::new("sku", 12));
    Start { kind: SpanKind::Server, name: "GET /".into(), parent, links: Vec::new(), content }
}

#[test]
fn what_the_api_says_is_what_is_exported() {
    let scene = all();
    let link = Link::with_context(caller(TraceFlags::SAMPLED));
    let builder = scene
        .tracer
        .span_builder("work")
        .with_kind(SpanKind::Producer)
        .with_attributes([KeyValue::new("sku", 12)])
        .with_links(vec![link.clone()])
        .with_events(vec![Event::with_name("begun")]);
    let mut span = builder.start(&scene.tracer);
    assert!(span.is_recording());
    span.set_attribute(KeyValue::new("user", "ada"));
    span.set_attribute(KeyValue::new("sku", 13));
    span.add_event("sold", vec![KeyValue::new("count", 2)]);
    span.add_link(link.span_context.clone(), Vec::new());
    span.update_name("order");
    span.record_error(&std::io::Error::other("no stock"));
    let context = span.span_context().clone();
    let end = now() + Duration::from_secs(5);
    span.end_with_timestamp(end);
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("late", true));
    span.end();
    drop(span);

    let data = scene.ended.only();
    assert_eq!((&*data.name, data.span_kind, data.end_time), ("order", SpanKind::Producer, end));
    assert_eq!(data.span_context, context);
    assert!(context.is_valid() && context.is_sampled() && !context.is_remote());
    assert_eq!(data.attributes, [KeyValue::new("sku", 13), KeyValue::new("user", "ada")]);
    let events: Vec<_> = data.events.iter().map(|event| &*event.name).collect();
    assert_eq!(events, ["begun", "sold", "exception"]);
    assert_eq!(data.links.links, [link.clone(), link]);
    assert_eq!(data.instrumentation_scope.name(), "test");
}

#[test]
fn a_span_that_is_dropped_has_ended_then() {
    let scene = all();
    let before = now();
    drop(scene.tracer.start("work"));
    let data = scene.ended.only();
    assert!(before <= data.start_time && data.start_time <= data.end_time);
}

#[test]
fn ok_is_final_and_the_last_error_counts() {
    for (said, kept) in [
        (vec![Status::error("a"), Status::error("b")], Status::error("b")),
        (vec![Status::error("b"), Status::error("a")], Status::error("a")),
        (vec![Status::error("a"), Status::Ok, Status::error("b")], Status::Ok),
        (vec![Status::error("a"), Status::Unset], Status::error("a")),
    ] {
        let scene = all();
        let mut span = scene.tracer.start("work");
        said.into_iter().for_each(|status| span.set_status(status));
        drop(span);
        assert_eq!(scene.ended.only().status, kept);
    }
}

#[test]
fn what_is_over_a_limit_is_dropped_and_counted() {
    let mut limits = Limits { value_length: Some(3), ..Limits::default() };
    limits.counts.max_attributes_per_span = 2;
    limits.counts.max_events_per_span = 1;
    limits.counts.max_links_per_span = 1;
    limits.counts.max_attributes_per_event = 1;
    limits.counts.max_attributes_per_link = 0;
    let scene = scene(Sampler::AlwaysOn, limits);
    let two = || vec![KeyValue::new("a", "äöüß"), KeyValue::new("b", 1)];
    let link = || Link::new(caller(TraceFlags::SAMPLED), two(), 0);
    let builder = scene.tracer.span_builder("work").with_links(vec![link(), link()]);
    let texts = Value::Array(Array::String(vec!["long".into(), "abc".into()]));
    let three = [KeyValue::new("a", "12345"), KeyValue::new("b", texts), KeyValue::new("c", 1)];
    let mut span = builder.with_attributes(three).start(&scene.tracer);
    span.set_attribute(KeyValue::new("d", 1));
    span.set_attribute(KeyValue::new("a", "67890"));
    span.add_event("one", two());
    span.add_event("two", two());
    drop(span);
    let data = scene.ended.only();
    let texts = Value::Array(Array::String(vec!["lon".into(), "abc".into()]));
    assert_eq!(data.attributes, [KeyValue::new("a", "678"), KeyValue::new("b", texts)]);
    assert_eq!(data.dropped_attributes_count, 2);
    assert_eq!((data.events.len(), data.events.dropped_count), (1, 1));
    assert_eq!(data.events[0].attributes, [KeyValue::new("a", "äöü")]);
    assert_eq!(data.events[0].dropped_attributes_count, 1);
    assert_eq!((data.links.len(), data.links.dropped_count), (1, 1));
    assert_eq!(data.links[0].dropped_attributes_count, 2);
}

#[test]
fn a_parent_decides_however_it_is_named() {
    for flags in [TraceFlags::SAMPLED, TraceFlags::default()] {
        let scene = scene(parent_based(Sampler::AlwaysOn), Limits::default());
        let remote = caller(flags);
        let context = Context::new().with_remote_span_context(remote.clone());
        for parent in [Parent::Remote(&remote), Parent::Context(&context)] {
            let span = scene.tracer.open(start(parent));
            let own = span.span_context().clone();
            assert_eq!((own.trace_id(), own.is_sampled()), (remote.trace_id(), flags.is_sampled()));
            assert_eq!(own.trace_state(), remote.trace_state());
            assert_ne!(own.span_id(), remote.span_id());
            assert_eq!(span.is_recording(), flags.is_sampled());
            drop(span);
            if flags.is_sampled() {
                let data = scene.ended.only();
                assert_eq!(data.parent_span_id, remote.span_id());
                assert!(data.parent_span_is_remote);
            }
        }
        assert_eq!(scene.ended.0.lock().unwrap().len(), 0);
    }
}

#[test]
fn an_unsampled_root_makes_no_attributes() {
    let scene = scene(parent_based(Sampler::AlwaysOff), Limits::default());
    let begun = start(Parent::None);
    let content = |_: &mut Content| panic!("nobody asked for it");
    let Start { kind, name, parent, links, .. } = begun;
    let span = scene.tracer.open(Start { kind, name, parent, links, content });
    assert!(span.span_context().is_valid() && !span.is_recording());
}

/// Samples what has a `sku`, says so in an attribute, and records without sampling what has none.
#[derive(Clone, Debug)]
struct BySku;

impl ShouldSample for BySku {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let decision = if attributes.iter().any(|pair| pair.key.as_str() == "sku") {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::RecordOnly
        };
        let attributes = vec![KeyValue::new("sampled.by", "sku")];
        SamplingResult { decision, attributes, trace_state: TraceState::default() }
    }
}

#[test]
fn a_sampler_that_reads_attributes_sees_them() {
    let ended = Arc::new(Kept::default());
    let sampling =
        Sampling { sampler: Sampler::ParentBased(Box::new(BySku)), reads_attributes: true };
    let provider = Provider::new(sampling, Limits::default(), Arc::<Kept>::clone(&ended));
    let tracer = provider.tracer("test");
    drop(tracer.open(start(Parent::None)));
    assert_eq!(ended.only().attributes, [KeyValue::new("sku", 12)]);

    let Start { kind, name, parent, links, .. } = start(Parent::None);
    let span = tracer.open(Start { kind, name, parent, links, content: |_: &mut Content| () });
    assert!(span.is_recording() && !span.span_context().is_sampled());
    drop(span);
    assert_eq!(ended.0.lock().unwrap().len(), 0, "recorded for this process only");
}

#[test]
fn where_telemetry_is_suppressed_or_over_there_are_no_spans() {
    let scene = all();
    {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        assert!(!scene.tracer.start("work").span_context().is_valid());
    }
    let begun = scene.tracer.start("work");
    scene.provider.shut_down();
    assert!(!scene.tracer.start("late").span_context().is_valid());
    assert!(!scene.tracer.open(start(Parent::None)).span_context().is_valid());
    drop(begun);
    assert_eq!(scene.ended.only().name, "work");
}

#[test]
fn a_tracing_span_carries_a_span_that_was_started_before() {
    let scene = all();
    let layer = tracing_opentelemetry::layer().with_tracer(scene.tracer.clone());
    let subscriber = tracing_subscriber::registry().with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);
    let span = scene.tracer.open(start(Parent::Remote(&caller(TraceFlags::SAMPLED))));
    let ids = span.span_context().clone();

    let carrier = tracing::info_span!(parent: None, "spanline.carrier");
    let (entered, context) = enter(carrier, span).unwrap();
    assert_eq!(context.span().span_context(), &ids);
    let carrier = entered.exit();
    assert_eq!(carrier.context().span().span_context(), &ids);
    carrier.in_scope(|| {
        assert_eq!(Context::current().span().span_context(), &ids);
        Context::current().span().set_attribute(KeyValue::new("user", "ada"));
        drop(tracing::info_span!("child").entered());
    });
    let child = scene.ended.only();
    assert_eq!(child.parent_span_id, ids.span_id());
    context.span().end();
    assert_eq!(scene.ended.only().attributes.len(), 2);
    drop(carrier);
    assert_eq!(scene.ended.0.lock().unwrap().len(), 0, "it has ended already");
}

#[test]
fn a_carrier_that_carries_nothing_gives_the_span_back() {
    let scene = all();
    assert!(enter(tracing::Span::none(), scene.tracer.start("work")).is_none());
    assert!(handed_over().is_some_and(|span| span.is_recording()));

    // A layer with another tracer starts a span of its own.
    let other = all();
    let layer = tracing_opentelemetry::layer().with_tracer(opentelemetry::global::tracer("none"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let carrier = tracing::info_span!("spanline.carrier");
    assert!(enter(carrier, other.tracer.start("work")).is_none());
    assert!(handed_over().is_some_and(|span| span.is_recording()));
    assert!(handed_over().is_none());
}

#[test]
fn a_status_is_told_to_the_span_of_a_request_that_ends_and_to_no_other() {
    let scene = all();
    let request = || {
        let content = |content: &mut Content| content.request = Some(Request::of("GET"));
        let Start { kind, name, parent, links, .. } = start(Parent::None);
        scene.tracer.open(Start { kind, name, parent, links, content })
    };
    let statuses = || {
        let attributes = scene.ended.only().attributes;
        let all = attributes.into_iter().filter(|a| a.key.as_str() == "http.response.status_code");
        all.map(|status| status.value).collect::<Vec<_>>()
    };
    let mut span = request();
    with_status(Some(404), || span.end());
    assert_eq!(statuses(), [Value::I64(404)]);
    // It has ended, so the status is nobody's.
    with_status(Some(500), || span.end());
    request().end();
    assert_eq!(statuses(), []);
    // Not a request's.
    with_status(Some(500), || scene.tracer.start("work").end());
    assert_eq!(statuses(), []);
    let mut span = request();
    span.set_attribute(KeyValue::new("http.response.status_code", 200));
    with_status(None, || span.end());
    assert_eq!(statuses(), [Value::I64(200)]);
}

//! Lines are filtered as lines and spans as spans, and neither at the cost of the other.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::SpanData;
use tracing::Dispatch;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::super::subscriber;
use crate::config::{Config, Overrides};
use crate::context;
use crate::log::{self, Lines, LogOutput, LogSettings};
use crate::metrics::Metrics;
use crate::span::{self, Limits, Provider, Sampling, Sink};
use crate::vars::Reader;

/// Keeps what ends.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl Sink for Ended {
    fn take(&self, span: &mut Option<span::Ended>) {
        self.0.lock().unwrap().extend(span.take().map(span::Ended::into_data));
    }
}

struct Scene {
    dispatch: Dispatch,
    ended: Ended,
    lines: Lines,
    file: PathBuf,
    _directory: tempfile::TempDir,
}

fn scene(vars: &[(&'static str, &'static str)], overrides: &Overrides) -> Scene {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    let config = Config::read(overrides, &mut Reader::new(&vars));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines");
    let mut settings = LogSettings::new("gate");
    settings.output = LogOutput::File(file.clone());
    let (layer, lines) = log::start(settings).unwrap();
    let ended = Ended::default();
    let sampling = Sampling { sampler: config.sampler.clone(), reads_attributes: false };
    let provider = Provider::new(sampling, Limits::default(), Arc::new(ended.clone()));
    let resource = opentelemetry_sdk::Resource::builder_empty().build();
    let requests = Metrics::new(&config.metrics, &resource).of_requests();
    let dispatch = subscriber(&config, layer, provider.tracer("gate"), requests).into();
    Scene { dispatch, ended, lines, file, _directory: directory }
}

impl Scene {
    fn run<T>(&self, program: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, program)
    }

    fn lines(&self) -> Vec<String> {
        assert!(self.lines.flush(Instant::now() + Duration::from_secs(30)));
        let text = std::fs::read_to_string(&self.file).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn spans(&self) -> Vec<SpanData> {
        self.ended.0.lock().unwrap().clone()
    }
}

#[test]
fn a_filter_of_lines_hides_no_span_and_takes_no_id() {
    let scene = scene(&[("RUST_LOG", "warn")], &Overrides::default());
    scene.run(|| {
        tracing::info_span!("order").in_scope(|| {
            tracing::info!("hidden");
            tracing::warn!("seen");
        });
    });
    let spans = scene.spans();
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["order"]);
    let lines = scene.lines();
    let trace = format!("trace_id={}", spans[0].span_context.trace_id());
    assert!(lines.len() == 1 && lines[0].contains(&trace), "{lines:?}");
}

#[test]
fn faults_of_the_sdk_are_said_whatever_the_filter_of_lines_is() {
    let off = ("RUST_LOG", "off");
    for (vars, expected) in [
        (vec![off], vec!["fault"]),
        (vec![("RUST_LOG", "info,spanline=error")], vec!["fault", "line"]),
        (vec![off, ("OTEL_LOG_LEVEL", "none")], vec![]),
        (vec![off, ("OTEL_LOG_LEVEL", "info")], vec!["fault", "news"]),
    ] {
        let scene = scene(&vars, &Overrides::default());
        scene.run(|| {
            tracing::warn!(target: "spanline", "fault");
            tracing::info!(target: "spanline", "news");
            tracing::info!(target: "shop", "line");
        });
        let lines = scene.lines();
        let last = |line: &String| line.rsplit(' ').next().unwrap_or_default().to_owned();
        let said: Vec<_> = lines.iter().map(last).collect();
        assert_eq!(said, expected, "{vars:?}");
    }
}

#[test]
fn a_filter_of_spans_hides_no_line_and_no_request() {
    let scene = scene(&[("SPANLINE_TRACE_FILTER", "error")], &Overrides::default());
    scene.run(|| {
        tracing::info_span!(target: "spanline::http", "request").in_scope(|| {
            tracing::info_span!("hidden").in_scope(|| tracing::info!("seen"));
        });
    });
    let spans = scene.spans();
    assert_eq!(spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["request"]);
    let lines = scene.lines();
    let span = format!("span_id={}", spans[0].span_context.span_id());
    assert!(lines.len() == 1 && lines[0].contains(&span), "{lines:?}");
}

#[test]
fn a_directive_may_ask_in_which_span_an_event_is() {
    let scene = scene(&[("RUST_LOG", "warn,[order{sku=12}]=debug")], &Overrides::default());
    scene.run(|| {
        for sku in [11, 12] {
            tracing::info_span!("order", sku).in_scope(|| tracing::debug!("of {sku}"));
        }
    });
    let lines = scene.lines();
    assert!(lines.len() == 1 && lines[0].contains("of 12"), "{lines:?}");
}

#[test]
fn an_event_is_a_line_and_no_part_of_its_span_unless_asked_for() {
    for copies_events in [false, true] {
        let overrides = Overrides { copies_events, ..Overrides::default() };
        let scene = scene(&[], &overrides);
        scene.run(|| tracing::info_span!("order").in_scope(|| tracing::info!("added item")));
        assert_eq!(scene.lines().len(), 1);
        let events = &scene.spans()[0].events;
        assert_eq!(events.iter().count(), usize::from(copies_events), "{events:?}");
    }
}

#[test]
fn an_event_that_is_copied_has_the_key_values_of_its_record_and_no_other_has_them() {
    let overrides = Overrides { copies_events: true, ..Overrides::default() };
    let scene = scene(&[], &overrides);
    let log = |pairs: &[(&str, ::log::kv::Value<'_>)]| {
        let mut record = ::log::Record::builder();
        record.target("legacy").level(::log::Level::Info).key_values(&pairs);
        let record = record.args(format_args!("added item")).build();
        log::put_aside(&record, || tracing_log::format_trace(&record).unwrap());
    };
    scene.run(|| {
        let pairs = |sku: u64| [("sku", sku.into()), ("gift", true.into()), ("to", "Ada".into())];
        log(&pairs(1));
        tracing::info_span!("order").in_scope(|| {
            log(&pairs(12));
            log(&[("sku", u64::MAX.into())]);
            tracing::info!("paid");
        });
    });
    assert_eq!(scene.lines().len(), 4);
    let spans = scene.spans();
    let key_values: Vec<Vec<_>> = (spans[0].events.iter())
        .map(|event| {
            let attributes = event.attributes.iter();
            let ours = attributes.filter(|one| matches!(one.key.as_str(), "sku" | "gift" | "to"));
            ours.map(|one| (one.key.as_str(), one.value.clone())).collect()
        })
        .collect();
    let first = vec![("sku", 12.into()), ("gift", true.into()), ("to", "Ada".into())];
    let second = vec![("sku", u64::MAX.to_string().into())];
    assert_eq!(key_values, [first, second, vec![]]);
}

/// Runs `program` below a span that is not sampled.
fn below_unsampled(scene: &Scene, program: impl FnOnce()) {
    let parent = opentelemetry::trace::SpanContext::new(
        1.into(),
        2.into(),
        opentelemetry::trace::TraceFlags::NOT_SAMPLED,
        true,
        opentelemetry::trace::TraceState::NONE,
    );
    let _parent = opentelemetry::Context::new().with_remote_span_context(parent).attach();
    scene.run(program);
}

#[test]
fn below_an_unsampled_span_spans_are_made_and_not_exported() {
    let scene = scene(&[], &Overrides::default());
    below_unsampled(&scene, || {
        let span = tracing::info_span!("order");
        let ids = context::SpanIds::of_context(&span.context()).unwrap();
        assert!(!ids.sampled && ids.span_id != 2_u64.to_be_bytes());
        span.in_scope(|| tracing::info!("added item"));
    });
    assert!(scene.lines()[0].contains("trace_id=00000000000000000000000000000001"));
    assert_eq!(scene.spans(), []);
}

#[test]
fn below_an_unsampled_span_spans_can_be_skipped() {
    let overrides = Overrides { skips_unsampled: true, ..Overrides::default() };
    let scene = scene(&[], &overrides);
    below_unsampled(&scene, || {
        let span = tracing::info_span!("order");
        assert!(span.is_disabled());
        span.in_scope(|| tracing::info!("added item"));
    });
    let ids = "trace_id=00000000000000000000000000000001 span_id=0000000000000002";
    assert!(scene.lines()[0].contains(ids), "{:?}", scene.lines());
    scene.run(|| drop(tracing::info_span!("order").entered()));
    assert_eq!(scene.spans().len(), 1, "elsewhere they are made");
}

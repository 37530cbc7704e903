//! Metrics: an observation of a histogram with 14 bounds, and the text of 1,000 of them for a scraper.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use metrics::Recorder as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::histogram::Histogram as BareHistogram;
use prometheus_client::registry::Registry as BareRegistry;
use spanline::metrics::{Exemplar, Histogram};

use crate::work::{Area, Goal, NOBODY, Operation, Subject, Work};

/// The convention's for the duration of a request.
const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
const HISTOGRAMS: usize = 1_000;
const HELP: &str = "How long it took";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// Everybody who observes.
pub fn observing() -> Area {
    Area {
        max_operations: u32::MAX,
        // Debian's valgrind gives a program no vDSO, without which rustix's clock ends in a fault.
        counts_instructions: false,
        subjects: vec![
            Subject::operation("spanline, ids and time at hand", at_hand),
            Subject::operation("spanline, the active span's", active),
            Subject::operation("prometheus-client, no exemplar", bare),
            Subject::operation("prometheus-client, String exemplar", bare_with_exemplar),
            Subject::operation("opentelemetry_sdk", open_telemetry),
            Subject::operation("metrics-exporter-prometheus", exporter),
            Subject::threads("two: spanline", start_ours, || {
                let histogram = ours();
                observing_with(move |value| histogram.observe(value))
            }),
            Subject::threads(
                "two: prometheus-client",
                || {},
                || observing_with(|value| shared_bare().observe(value)),
            ),
        ],
        works: vec![
            Work {
                name: "observation of a histogram, ids and time at hand",
                ours: vec!["spanline, ids and time at hand"],
                peers: PEERS.to_vec(),
                baseline: "prometheus-client, no exemplar",
                goals: vec![Goal::Nanoseconds(30.0)],
            },
            Work {
                name: "observation of a histogram in a span, whose ids it takes",
                ours: vec!["spanline, the active span's"],
                peers: PEERS.to_vec(),
                baseline: "prometheus-client, no exemplar",
                goals: vec![Goal::Nanoseconds(80.0)],
            },
            Work {
                name: "observations of one histogram by two threads",
                ours: vec!["two: spanline"],
                peers: vec!["two: prometheus-client"],
                baseline: "two: prometheus-client",
                goals: vec![Goal::Speedup(1.5)],
            },
        ],
    }
}

const PEERS: [&str; 4] = [
    "prometheus-client, no exemplar",
    "prometheus-client, String exemplar",
    "opentelemetry_sdk",
    "metrics-exporter-prometheus",
];

/// Everybody who writes the text.
pub fn exposing() -> Area {
    Area {
        // One takes milliseconds.
        max_operations: 20,
        counts_instructions: false,
        subjects: vec![
            Subject::operation("spanline, own histograms", expose_ours),
            Subject::operation("spanline, prometheus-client's histograms", expose_theirs),
            Subject::operation("prometheus-client", expose_bare),
            Subject::operation("metrics-exporter-prometheus (no exemplars)", expose_exporter),
        ],
        works: vec![
            Work {
                name: "OpenMetrics text of 1,000 histograms with exemplars",
                ours: vec!["spanline, own histograms"],
                peers: vec!["prometheus-client", "metrics-exporter-prometheus (no exemplars)"],
                baseline: "prometheus-client",
                goals: vec![Goal::Nanoseconds(2_000_000.0)],
            },
            Work {
                name: "the same of prometheus-client's histograms in our registry",
                ours: vec!["spanline, prometheus-client's histograms"],
                peers: vec!["prometheus-client"],
                baseline: "prometheus-client",
                goals: vec![Goal::TimeRatio(2.0)],
            },
        ],
    }
}

/// Observes values that fall into every bucket, one after the other.
fn observing_with(observe: impl Fn(f64) + 'static) -> Operation {
    let mut value = 0.0;
    Box::new(move || {
        value = if value > 12.0 { 0.001 } else { value + 0.37 };
        observe(black_box(value));
    })
}

static OURS: OnceLock<Histogram> = OnceLock::new();

fn start_ours() {
    ours();
}

/// One histogram of ours, in a process that has telemetry.
fn ours() -> Histogram {
    let histogram = OURS.get_or_init(|| {
        let telemetry = telemetry();
        let made = telemetry.registry().histogram("latency_seconds", HELP, BOUNDS);
        std::mem::forget(telemetry);
        made.unwrap_or_else(|error| panic!("{error}"))
    });
    histogram.clone()
}

fn telemetry() -> spanline::Telemetry {
    let output = spanline::LogOutput::File("/dev/null".into());
    spanline::builder("peers").log_output(output).otlp_endpoint(NOBODY).init()
}

fn at_hand() -> Operation {
    let histogram = ours();
    let exemplar = tracing::info_span!("request").in_scope(Exemplar::current);
    assert!(exemplar.is_some(), "a sampled span has an exemplar");
    observing_with(move |value| histogram.observe_with(value, exemplar))
}

fn active() -> Operation {
    let histogram = ours();
    let span = tracing::info_span!("request").entered();
    observing_with(move |value| {
        let _keep = &span;
        histogram.observe(value);
    })
}

fn shared_bare() -> &'static BareHistogram {
    static BARE: OnceLock<BareHistogram> = OnceLock::new();
    BARE.get_or_init(|| BareHistogram::new(BOUNDS))
}

fn bare() -> Operation {
    observing_with(|value| shared_bare().observe(value))
}

type Labels = Vec<(String, String)>;

/// Made anew for each observation, as the ids are others for each.
fn labels() -> Labels {
    vec![("trace_id".into(), TRACE_ID.into()), ("span_id".into(), SPAN_ID.into())]
}

fn bare_with_exemplar() -> Operation {
    let histogram = HistogramWithExemplars::new(BOUNDS.into_iter());
    observing_with(move |value| histogram.observe(value, Some(labels()), Some(SystemTime::now())))
}

/// Is asked once an hour, and throws away what it gets.
struct Nowhere;

impl PushMetricExporter for Nowhere {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

fn open_telemetry() -> Operation {
    let reader = PeriodicReader::builder(Nowhere).with_interval(Duration::from_secs(3_600)).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let meter = provider.meter("peers");
    let bounds = BOUNDS.to_vec();
    let histogram = meter.f64_histogram("latency_seconds").with_boundaries(bounds).build();
    observing_with(move |value| {
        let _keep = &provider;
        histogram.record(value, &[]);
    })
}

fn recorder() -> PrometheusRecorder {
    match PrometheusBuilder::new().set_buckets(&BOUNDS) {
        Ok(builder) => builder.build_recorder(),
        Err(error) => panic!("{error}"),
    }
}

fn exporter_histogram(recorder: &PrometheusRecorder, name: String) -> metrics::Histogram {
    let metadata = metrics::Metadata::new("peers", metrics::Level::INFO, None);
    recorder.register_histogram(&metrics::Key::from_name(name), &metadata)
}

fn exporter() -> Operation {
    let recorder = recorder();
    let histogram = exporter_histogram(&recorder, "latency_seconds".into());
    observing_with(move |value| {
        let _keep = &recorder;
        histogram.record(value);
    })
}

fn names() -> impl Iterator<Item = String> {
    (0..HISTOGRAMS).map(|number| format!("latency_{number}_seconds"))
}

/// Something in every bucket.
fn values() -> impl Iterator<Item = f64> {
    BOUNDS.into_iter().chain([11.0])
}

fn expose_ours() -> Operation {
    let telemetry = telemetry();
    let exemplar = tracing::info_span!("request").in_scope(Exemplar::current);
    for name in names() {
        let made = telemetry.registry().histogram(&name, HELP, BOUNDS);
        let histogram = made.unwrap_or_else(|error| panic!("{error}"));
        values().for_each(|value| histogram.observe_with(value, exemplar));
    }
    Box::new(move || drop(black_box(telemetry.registry().to_openmetrics())))
}

fn observed() -> HistogramWithExemplars<Labels> {
    let histogram = HistogramWithExemplars::new(BOUNDS.into_iter());
    for value in values() {
        histogram.observe(value, Some(labels()), Some(SystemTime::now()));
    }
    histogram
}

fn expose_theirs() -> Operation {
    let telemetry = telemetry();
    for name in names() {
        let registered = telemetry.registry().register(&name, HELP, observed());
        registered.unwrap_or_else(|error| panic!("{error}"));
    }
    Box::new(move || drop(black_box(telemetry.registry().to_openmetrics())))
}

fn expose_bare() -> Operation {
    let mut registry = BareRegistry::default();
    for name in names() {
        registry.register(name, HELP, observed());
    }
    Box::new(move || {
        let mut text = String::new();
        let encoded = prometheus_client::encoding::text::encode(&mut text, &registry);
        black_box((text, encoded.is_ok()));
    })
}

fn expose_exporter() -> Operation {
    let recorder = recorder();
    for name in names() {
        let histogram = exporter_histogram(&recorder, name);
        values().for_each(|value| histogram.record(value));
    }
    let handle = recorder.handle();
    Box::new(move || drop(black_box(handle.render())))
}

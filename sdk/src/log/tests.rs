//! The log path as a whole: from an event to the bytes that a reader sees.

mod accounts;
mod alone;
mod cap;
mod crowd;
mod faults;
mod hostile;
mod ids;
mod looks;
mod panics;
mod reentry;
mod trees;

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SpanData};
use serde_json::Value as Json;
use tracing::Level;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::output::{Output, Stream};
use super::*;
use crate::config::{Config, Overrides};
use crate::context::{self, SpanIds};
use crate::metrics::Metrics;
use crate::span::{self, Limits, Provider, Sampling};
use crate::vars::Reader;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

fn settings(format: LogFormat) -> LogSettings {
    let mut settings = LogSettings::new("api-test");
    settings.format = format;
    settings
}

/// The log path with a real pipe as its output.
fn piped(settings: &LogSettings) -> (LineLayer, Lines, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let (layer, lines) = on(settings, writer);
    (layer, lines, reader)
}

fn on(settings: &LogSettings, writer: PipeWriter) -> (LineLayer, Lines) {
    start_with_output(settings, Box::new(Stream(OwnedFd::from(writer)))).unwrap()
}

/// Emits a line as a plain event would, without any subscriber.
fn emit(lines: &Lines, priority: Priority, message: &str) {
    lines.emit(false, priority, |fields| {
        fields.set_message(format_args!("{message}"));
        let level = if priority == Priority::High { Level::WARN } else { Level::INFO };
        Origin { level, target: "test", file: None, line: None, ids: None, is_panic: false }
    });
}

/// The same, but the pipe is full from the beginning, of empty lines: until somebody reads, nothing
/// is written.
fn blocked(settings: &LogSettings) -> (Lines, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'\n'; 4_096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (on(settings, writer).1, reader)
}

/// Emits 1,000-byte lines until the queue refuses one.
fn fill_up(lines: &Lines) {
    let full = lines.ledger().dropped.queue_full + 1;
    let deadline = soon();
    while lines.ledger().dropped.queue_full < full {
        emit(lines, Priority::Normal, &"x".repeat(1_000));
        assert!(Instant::now() < deadline, "never full: {:?}", lines.ledger());
    }
}

/// Reads to the end on a thread of its own.
fn collect(mut reader: PipeReader) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    })
}

fn assert_exact(ledger: LineLedger) {
    let accounted = ledger.written + ledger.queued + ledger.dropped.total();
    assert_eq!(ledger.emitted, accounted, "{ledger:?}");
}

/// An output in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// Every line so far.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text:?}");
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

impl Output for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

fn in_memory(settings: &LogSettings) -> (LineLayer, Lines, Memory) {
    let memory = Memory::default();
    let (layer, lines) = start_with_output(settings, Box::new(memory.clone())).unwrap();
    (layer, lines, memory)
}

/// Keeps the spans that end.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl span::Sink for Ended {
    fn take(&self, span: &mut Option<span::Ended>) {
        self.0.lock().unwrap().extend(span.take().map(span::Ended::into_data));
    }
}

/// The subscriber that a service has, with no event filtered out.
struct Scene {
    dispatch: tracing::Dispatch,
    provider: Provider,
    lines: Lines,
    memory: Memory,
}

impl Scene {
    fn new() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    fn sampling(sampler: Sampler) -> Self {
        Self::of(&settings(LogFormat::Json), sampler, Ended::default())
    }

    fn of(settings: &LogSettings, sampler: Sampler, spans: impl span::Sink + 'static) -> Self {
        let (layer, lines, memory) = in_memory(settings);
        let overrides = Overrides { log_filter: Some("trace".to_owned()), ..Overrides::default() };
        let unset = HashMap::<&'static str, &'static str>::new();
        let config = Config::read(&overrides, &mut Reader::new(&unset));
        let sampling = Sampling { sampler, reads_attributes: false };
        let provider = Provider::new(sampling, Limits::default(), Arc::new(spans));
        let requests = Metrics::new(&config.metrics, &Resource::builder_empty().build());
        let requests = requests.of_requests();
        let tracer = provider.tracer("test");
        let dispatch = crate::init::subscriber(&config, layer, tracer, requests).into();
        Self { dispatch, provider, lines, memory }
    }

    /// Runs a program under this subscriber; gives back its lines, those of earlier runs included.
    fn run(&self, program: impl FnOnce()) -> Vec<Json> {
        tracing::dispatcher::with_default(&self.dispatch, program);
        self.lines()
    }

    fn lines(&self) -> Vec<Json> {
        assert!(self.lines.flush(soon()));
        self.memory.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A line's ids and flags, if it has any.
fn ids_of(line: &Json) -> Option<SpanIds> {
    let hex = |key: &str| Some(u128::from_str_radix(line.get(key)?.as_str()?, 16).unwrap());
    Some(SpanIds {
        trace_id: hex("trace_id")?.to_be_bytes(),
        span_id: u64::try_from(hex("span_id")?).unwrap().to_be_bytes(),
        sampled: line["trace_flags"] == "01",
    })
}

/// What OpenTelemetry says of a span.
fn ids_of_span(span: &tracing::Span) -> Option<SpanIds> {
    SpanIds::of_context(&span.context())
}

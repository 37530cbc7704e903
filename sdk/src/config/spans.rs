//! Which spans are recorded, how much of them is kept, and how they are exported.

use std::str::FromStr;
use std::time::Duration;

use opentelemetry_sdk::trace::{Sampler, SpanLimits};

use super::{OtlpConfig, Overrides};
use crate::error::Fault;
use crate::otlp_signal::Signal;
use crate::vars::{Delay, Reader, TimeLimit, words};

/// Where spans go (`OTEL_TRACES_EXPORTER`); both is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    pub(crate) otlp: bool,
    /// As lines, where lines go.
    pub(crate) console: bool,
}

/// How spans are exported.
#[derive(Debug, Clone)]
pub(crate) struct ExportConfig {
    pub(crate) ways: Ways,
    pub(crate) otlp: OtlpConfig,
    pub(crate) queue_spans: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) batch_spans: usize,
    pub(crate) delay: Duration,
}

const BATCH_SPANS: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
const VALUE_LENGTH: [&str; 2] =
    ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];

/// The specification's default is 2,048; a burst of 10,000 spans would overflow it.
const DEFAULT_QUEUE_SPANS: usize = 16_384;
/// What spans that wait may take in memory.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
const DEFAULT_BATCH_SPANS: usize = 512;
/// The specification's default is 5 s; the agent is on the same node, and a trace is wanted soon.
const DEFAULT_DELAY: Duration = Duration::from_secs(1);

impl FromStr for Ways {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut ways = Self { otlp: false, console: false };
        for name in words(text) {
            match name.to_ascii_lowercase().as_str() {
                "otlp" => ways.otlp = true,
                "console" => ways.console = true,
                "none" => {}
                _ => return Err(()),
            }
        }
        Ok(ways)
    }
}

impl ExportConfig {
    /// Reads the variables; `None` when spans are not to be exported.
    pub(crate) fn read(
        is_disabled: bool,
        overrides: &Overrides,
        reader: &mut Reader<'_>,
    ) -> Option<Self> {
        let ways = reader.parse("OTEL_TRACES_EXPORTER", "a list of otlp, console; or none");
        let ways = ways.unwrap_or(Ways { otlp: true, console: false });
        let timeout = reader.parse("OTEL_BSP_EXPORT_TIMEOUT", TimeLimit::ACCEPTED);
        let timeout = timeout.map(|TimeLimit(timeout)| timeout);
        let otlp = OtlpConfig::read(Signal::Traces, timeout, overrides, reader);
        let queue_spans = reader.count("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(DEFAULT_QUEUE_SPANS);
        let batch_spans = reader.count(BATCH_SPANS);
        if let Some(batch) = batch_spans.filter(|batch| *batch > queue_spans) {
            let accepted = format!("no more than OTEL_BSP_MAX_QUEUE_SIZE, which is {queue_spans}");
            let fault = Fault::new(BATCH_SPANS, batch.to_string(), accepted);
            reader.fault(fault.instead("a batch is as large as the queue"));
        }
        let delay = reader.parse("OTEL_BSP_SCHEDULE_DELAY", Delay::ACCEPTED);
        let delay = delay.map_or(DEFAULT_DELAY, |Delay(delay)| delay);
        ((ways.otlp || ways.console) && !is_disabled).then_some(Self {
            ways,
            otlp,
            queue_spans,
            queue_bytes: QUEUE_BYTES,
            batch_spans: batch_spans.unwrap_or(DEFAULT_BATCH_SPANS).min(queue_spans),
            delay,
        })
    }
}

pub(super) fn read_sampler(reader: &mut Reader<'_>) -> Sampler {
    const SETTING: &str = "OTEL_TRACES_SAMPLER";
    const ACCEPTED: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
         parentbased_always_off, parentbased_traceidratio";
    let parent_based = |sampler| Sampler::ParentBased(Box::new(sampler));
    let name = reader.text(SETTING);
    match name.map(|name| name.to_ascii_lowercase()).as_deref() {
        None | Some("parentbased_always_on") => parent_based(Sampler::AlwaysOn),
        Some("parentbased_always_off") => parent_based(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => parent_based(read_ratio(reader)),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => read_ratio(reader),
        Some(other) => {
            reader.fault(Fault::new(SETTING, other, ACCEPTED));
            parent_based(Sampler::AlwaysOn)
        }
    }
}

fn read_ratio(reader: &mut Reader<'_>) -> Sampler {
    const SETTING: &str = "OTEL_TRACES_SAMPLER_ARG";
    let Some(text) = reader.text(SETTING) else { return Sampler::AlwaysOn };
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Sampler::TraceIdRatioBased(ratio),
        _ => {
            reader.fault(Fault::new(SETTING, text, "a number from 0 to 1"));
            Sampler::AlwaysOn
        }
    }
}

pub(super) fn read_limits(reader: &mut Reader<'_>) -> SpanLimits {
    let mut limits = SpanLimits::default();
    let mut set = |setting, limit: &mut u32| {
        if let Some(count) = reader.parse(setting, "a whole number") {
            *limit = count;
        }
    };
    set("OTEL_ATTRIBUTE_COUNT_LIMIT", &mut limits.max_attributes_per_span);
    set("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &mut limits.max_attributes_per_span);
    set("OTEL_SPAN_EVENT_COUNT_LIMIT", &mut limits.max_events_per_span);
    set("OTEL_SPAN_LINK_COUNT_LIMIT", &mut limits.max_links_per_span);
    set("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", &mut limits.max_attributes_per_event);
    set("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", &mut limits.max_attributes_per_link);
    limits
}

/// In characters; `None` is no limit.
pub(super) fn read_value_length(reader: &mut Reader<'_>) -> Option<usize> {
    reader.parse_first(VALUE_LENGTH, "a whole number of characters")
}

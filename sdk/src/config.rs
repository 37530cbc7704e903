//! Every setting of the SDK: its name, default and unit, and how it is read.
//!
//! builder > environment > default. A variable that is empty counts as not set, as the specification has
//! it. All faults are collected; each leaves its setting at the default.

mod metrics;

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry_sdk::trace::{Sampler, SpanLimits};

use crate::endpoint::{self, Endpoint, OtlpProtocol};
use crate::error::Fault;
use crate::log::{
    DEFAULT_FILE_BYTES, DEFAULT_FILES_KEPT, DEFAULT_QUEUE_BYTES, DEFAULT_RESERVED_BYTES, LogFormat,
    LogOutput,
};
use crate::vars::{Millis, Reader};

pub(crate) use metrics::{ExemplarFilter, MetricsConfig};

/// What the builder was told; `None` leaves it to the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) log_output: Option<LogOutput>,
    pub(crate) log_queue_bytes: Option<usize>,
    pub(crate) log_reserved_bytes: Option<usize>,
    pub(crate) log_file_bytes: Option<usize>,
    pub(crate) log_files_kept: Option<usize>,
    pub(crate) log_filter: Option<String>,
    pub(crate) trace_filter: Option<String>,
    pub(crate) otlp_endpoint: Option<String>,
    pub(crate) otlp_protocol: Option<OtlpProtocol>,
    pub(crate) copies_events: bool,
    pub(crate) skips_unsampled: bool,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) shutdown_timeout: Option<Duration>,
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) metric_prefix: String,
    pub(crate) metric_labels: Vec<(String, String)>,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) log_format: LogFormat,
    pub(crate) log_output: LogOutput,
    pub(crate) log_queue_bytes: usize,
    /// The part of the queue for WARN and ERROR alone.
    pub(crate) log_reserved_bytes: usize,
    pub(crate) log_file_bytes: usize,
    pub(crate) log_files_kept: usize,
    pub(crate) log_filter: String,
    pub(crate) trace_filter: String,
    /// Log events are copied into their spans.
    pub(crate) copies_events: bool,
    /// No `tracing` spans below one that is not sampled.
    pub(crate) skips_unsampled: bool,
    pub(crate) sampler: Sampler,
    /// Whether the sampler may decide by a span's attributes; those that the environment names do not.
    pub(crate) sampler_reads_attributes: bool,
    pub(crate) span_limits: SpanLimits,
    /// In characters; `None` is no limit.
    pub(crate) span_value_length: Option<usize>,
    pub(crate) http: HttpConfig,
    /// `None` when spans are not to be exported.
    pub(crate) export: Option<ExportConfig>,
    pub(crate) metrics: MetricsConfig,
    pub(crate) shutdown_timeout: Duration,
}

/// What the HTTP layers go by.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpConfig {
    pub(crate) propagation: Propagation,
    /// In place of the nine methods that the conventions know.
    pub(crate) known_methods: Option<Vec<&'static str>>,
}

/// What is taken from callers, and told to those that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagation {
    /// `traceparent` and `tracestate`.
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl Default for Propagation {
    fn default() -> Self {
        Self { trace_context: true, baggage: true }
    }
}

/// How spans are exported.
#[derive(Debug, Clone)]
pub(crate) struct ExportConfig {
    pub(crate) protocol: OtlpProtocol,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
    pub(crate) gzip: bool,
    pub(crate) timeout: Duration,
    pub(crate) queue_spans: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) batch_spans: usize,
    pub(crate) delay: Duration,
}

// Traces may have these for themselves.
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSION: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

const VALUE_LENGTH: [&str; 2] =
    ["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"];

/// Lines of level INFO and above, of everybody.
const DEFAULT_LOG_FILTER: &str = "info";
/// Spans of level INFO and above. The transports below the exporter and the services' clients make
/// spans of their own at lower levels, which say nothing about a request.
const DEFAULT_TRACE_FILTER: &str = "info";
/// The specification's default is 2,048; a burst of 10,000 spans would overflow it.
const DEFAULT_QUEUE_SPANS: usize = 16_384;
/// What spans that wait may take in memory.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
const DEFAULT_BATCH_SPANS: usize = 512;
/// The specification's default is 5 s; the agent is on the same node, and a trace is wanted soon.
const DEFAULT_DELAY: Duration = Duration::from_secs(1);
/// The specification's default is 10 s, longer than a pod has to shut down in comfort.
const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than anybody waits, and not too long to be added to a time.
pub(crate) const MAX_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3_600);

impl Config {
    /// Reads every setting; what is wrong is in the reader's faults.
    pub(crate) fn read(overrides: &Overrides, reader: &mut Reader<'_>) -> Self {
        let log_format = overrides
            .log_format
            .or_else(|| reader.parse("SPANLINE_LOG_FORMAT", "text, winston, python, json, logfmt"));
        let log_output =
            overrides.log_output.clone().or_else(|| reader.parse("SPANLINE_LOG_OUTPUT", "a path"));
        let log_queue_bytes =
            overrides.log_queue_bytes.or_else(|| reader.count("SPANLINE_LOG_QUEUE_BYTES"));
        let log_reserved_bytes = overrides
            .log_reserved_bytes
            .or_else(|| reader.parse("SPANLINE_LOG_RESERVED_BYTES", "a whole number"));
        let log_file_bytes =
            overrides.log_file_bytes.or_else(|| reader.count("SPANLINE_LOG_FILE_BYTES"));
        let log_files_kept =
            overrides.log_files_kept.or_else(|| reader.count("SPANLINE_LOG_FILES_KEPT"));
        let log_filter = overrides.log_filter.clone().or_else(|| reader.text("RUST_LOG"));
        let trace_filter =
            overrides.trace_filter.clone().or_else(|| reader.text("SPANLINE_TRACE_FILTER"));
        let is_disabled = reader.boolean("OTEL_SDK_DISABLED").unwrap_or(false);
        Self {
            log_format: log_format.unwrap_or_default(),
            log_output: log_output.unwrap_or_default(),
            log_queue_bytes: log_queue_bytes.unwrap_or(DEFAULT_QUEUE_BYTES),
            log_reserved_bytes: log_reserved_bytes.unwrap_or(DEFAULT_RESERVED_BYTES),
            log_file_bytes: log_file_bytes.unwrap_or(DEFAULT_FILE_BYTES),
            log_files_kept: log_files_kept.unwrap_or(DEFAULT_FILES_KEPT).max(1),
            log_filter: log_filter.unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned()),
            trace_filter: trace_filter.unwrap_or_else(|| DEFAULT_TRACE_FILTER.to_owned()),
            copies_events: overrides.copies_events,
            skips_unsampled: overrides.skips_unsampled,
            sampler: overrides.sampler.clone().unwrap_or_else(|| read_sampler(reader)),
            sampler_reads_attributes: matches!(overrides.sampler, Some(Sampler::ParentBased(_))),
            span_limits: read_span_limits(reader),
            span_value_length: VALUE_LENGTH
                .into_iter()
                .find_map(|setting| reader.parse(setting, "a whole number of characters")),
            http: read_http(reader),
            export: read_export(is_disabled, overrides, reader),
            metrics: MetricsConfig::read(is_disabled, overrides, reader),
            shutdown_timeout: overrides
                .shutdown_timeout
                .unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT)
                .min(MAX_SHUTDOWN_TIMEOUT),
        }
    }
}

fn read_http(reader: &mut Reader<'_>) -> HttpConfig {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    };
    let mut propagation = Propagation::default();
    if let Some(names) = reader.text("OTEL_PROPAGATORS") {
        propagation = Propagation { trace_context: false, baggage: false };
        for name in words(&names) {
            match name.as_str() {
                "tracecontext" => propagation.trace_context = true,
                "baggage" => propagation.baggage = true,
                "none" => {}
                _ => reader.fault(Fault::new(
                    "OTEL_PROPAGATORS",
                    name,
                    "a list of tracecontext, baggage; or none",
                )),
            }
        }
    }
    let known_methods = reader.text("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").map(|methods| {
        // Read once in a process, and wanted as long as it lives.
        words(&methods).into_iter().map(|method| &*method.leak()).collect()
    });
    HttpConfig { propagation, known_methods }
}

fn read_export(
    is_disabled: bool,
    overrides: &Overrides,
    reader: &mut Reader<'_>,
) -> Option<ExportConfig> {
    let exporter = reader.text("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".to_owned());
    let is_wanted = match exporter.as_str() {
        "otlp" => true,
        "none" => false,
        _ => {
            reader.fault(Fault::new("OTEL_TRACES_EXPORTER", exporter, "otlp, none"));
            true
        }
    };
    let protocol = overrides
        .otlp_protocol
        .or_else(|| reader.parse_first(PROTOCOL, "http/protobuf, grpc"))
        .unwrap_or_default();
    let endpoint = endpoint::resolve(protocol, overrides.otlp_endpoint.as_deref(), reader);
    let gzip = reader.parse_first(COMPRESSION, "gzip, none").is_some_and(|Gzip(gzip)| gzip);
    let timeout = reader.parse_first(TIMEOUT, "milliseconds").map(|Millis(timeout)| timeout);
    let headers = read_headers(reader);
    let queue_spans = reader.count("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(DEFAULT_QUEUE_SPANS);
    let batch_spans = reader.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").unwrap_or(DEFAULT_BATCH_SPANS);
    let delay = reader.millis("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(DEFAULT_DELAY);
    let batch_timeout = reader.millis("OTEL_BSP_EXPORT_TIMEOUT");
    (is_wanted && !is_disabled).then_some(ExportConfig {
        protocol,
        endpoint,
        headers,
        gzip,
        timeout: timeout.or(batch_timeout).unwrap_or(DEFAULT_EXPORT_TIMEOUT),
        queue_spans,
        queue_bytes: QUEUE_BYTES,
        batch_spans: batch_spans.min(queue_spans),
        delay,
    })
}

fn read_headers(reader: &mut Reader<'_>) -> Vec<(http::HeaderName, http::HeaderValue)> {
    for setting in HEADERS {
        let Some(text) = reader.text(setting) else { continue };
        let mut headers = Vec::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            match header(pair) {
                Some(header) => headers.push(header),
                // A header is often a secret: it is not repeated.
                None => reader.fault(Fault::new(
                    setting,
                    "***",
                    "name=value,name=value, percent-encoded where needed",
                )),
            }
        }
        return headers;
    }
    Vec::new()
}

fn header(pair: &str) -> Option<(http::HeaderName, http::HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = http::HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

fn read_sampler(reader: &mut Reader<'_>) -> Sampler {
    const SETTING: &str = "OTEL_TRACES_SAMPLER";
    const ACCEPTED: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
         parentbased_always_off, parentbased_traceidratio";
    let parent_based = |sampler| Sampler::ParentBased(Box::new(sampler));
    let name = reader.text(SETTING);
    match name.as_deref() {
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

fn read_span_limits(reader: &mut Reader<'_>) -> SpanLimits {
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

/// `gzip` or `none`.
struct Gzip(bool);

impl FromStr for Gzip {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "gzip" => Ok(Self(true)),
            "none" => Ok(Self(false)),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(vars: &[(&'static str, &'static str)]) -> (Config, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let config = Config::read(&Overrides::default(), &mut reader);
        (config, reader.into_faults())
    }

    #[test]
    fn every_setting_that_is_read_stands_in_the_table_of_the_docs() {
        let docs = include_str!("lib.rs");
        let sources = [
            include_str!("config.rs"),
            include_str!("config/metrics.rs"),
            include_str!("endpoint.rs"),
            include_str!("resource.rs"),
        ];
        let is_name = |text: &&str| {
            let known =
                ["OTEL_", "SPANLINE_", "POD_", "NODE_", "HOST_", "CONTAINER_", "K8S_", "RUST_"];
            known.iter().any(|prefix| text.starts_with(prefix))
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'_' | b'0'..=b'9'))
        };
        let names: Vec<_> =
            sources.iter().flat_map(|source| source.split('"')).filter(is_name).collect();
        assert!(names.len() > 30, "{names:?}");
        for name in names {
            let of_traces = name.replace("OTLP_TRACES_", "OTLP_");
            assert!(docs.contains(name) || docs.contains(&of_traces), "{name} is in no row");
        }
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let (config, faults) = read(&[("OTEL_TRACES_EXPORTER", " ")]);
        assert_eq!(faults, []);
        let export = config.export.unwrap();
        assert_eq!((export.queue_spans, export.batch_spans), (16_384, 512));
        assert_eq!(
            (export.delay, export.timeout),
            (Duration::from_secs(1), Duration::from_secs(3))
        );
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    fn every_wrong_setting_is_named_and_left_at_its_default() {
        let wrong = [
            ("SPANLINE_LOG_FORMAT", "xml"),
            ("SPANLINE_LOG_QUEUE_BYTES", "0"),
            ("SPANLINE_LOG_RESERVED_BYTES", "1 MiB"),
            ("SPANLINE_LOG_FILE_BYTES", "-1"),
            ("SPANLINE_LOG_FILES_KEPT", "all"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many"),
            ("OTEL_SDK_DISABLED", "maybe"),
        ];
        let (config, faults) = read(&wrong);
        for (name, value) in wrong {
            let named = faults.iter().any(|fault| fault.setting == name && fault.seen == value);
            assert!(named, "{name} is missing in {faults:?}");
        }
        assert_eq!(faults.len(), wrong.len());
        assert_eq!(config.export.unwrap().queue_spans, DEFAULT_QUEUE_SPANS);
    }

    #[test]
    fn a_secret_in_a_wrong_header_is_not_repeated() {
        let (_, faults) = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization Bearer hunter2")]);
        assert_eq!(faults.len(), 1);
        assert!(!faults[0].to_string().contains("hunter2"), "{}", faults[0]);
    }

    #[test]
    fn headers_are_percent_decoded() {
        let (config, faults) =
            read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-tenant=a")]);
        assert_eq!(faults, []);
        let headers = config.export.unwrap().headers;
        assert_eq!(headers[0].1, "Bearer abc");
        assert_eq!(headers[1].0, "x-tenant");
    }

    #[test]
    fn spans_can_be_switched_off() {
        assert!(read(&[("OTEL_SDK_DISABLED", "true")]).0.export.is_none());
        assert!(read(&[("OTEL_TRACES_EXPORTER", "none")]).0.export.is_none());
    }
}

//! Every setting of the SDK: its name, default and unit, and how it is read.
//!
//! builder > environment > default. A variable that is empty counts as not set, as the specification has
//! it. All faults are collected; each leaves its setting at the default.

mod http;
mod lines;
mod metrics;
mod otlp;
mod spans;
#[cfg(test)]
mod table;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_sdk::trace::{Sampler, SpanLimits};
use tracing::level_filters::LevelFilter;

use crate::endpoint::OtlpProtocol;
use crate::log::{
    DEFAULT_FILE_BYTES, DEFAULT_FILES_KEPT, DEFAULT_QUEUE_BYTES, DEFAULT_RESERVED_BYTES,
    LineOptions, LogFormat, LogOutput,
};
use crate::vars::{LONGEST, Reader};

pub(crate) use http::{HttpConfig, Propagation};
pub(crate) use metrics::{ExemplarFilter, MetricsConfig, PushConfig, ScrapeSecurity, Temporality};
pub(crate) use otlp::OtlpConfig;
pub(crate) use spans::ExportConfig;

/// What the builder was told; `None` leaves it to the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) line_options: LineOptions,
    pub(crate) log_output: Option<LogOutput>,
    pub(crate) log_queue_bytes: Option<usize>,
    pub(crate) log_reserved_bytes: Option<usize>,
    pub(crate) log_file_bytes: Option<usize>,
    pub(crate) log_files_kept: Option<usize>,
    pub(crate) log_filter: Option<String>,
    pub(crate) trace_filter: Option<String>,
    pub(crate) otlp_endpoint: Option<String>,
    pub(crate) otlp_protocol: Option<OtlpProtocol>,
    pub(crate) otlp_headers: Vec<(String, Secret)>,
    pub(crate) otlp_timeout: Option<Duration>,
    pub(crate) otlp_gzip: Option<bool>,
    pub(crate) propagation: Option<Propagation>,
    pub(crate) copies_events: bool,
    pub(crate) skips_unsampled: bool,
    pub(crate) slow_poll: Option<Duration>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) shutdown_timeout: Option<Duration>,
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) metrics_address: Option<SocketAddr>,
    pub(crate) metrics_push_interval: Option<Duration>,
    pub(crate) metric_prefix: String,
    pub(crate) metric_labels: Vec<(String, String)>,
}

/// A text that does not print.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) log_format: LogFormat,
    pub(crate) line_options: LineOptions,
    pub(crate) log_output: LogOutput,
    pub(crate) log_queue_bytes: usize,
    /// The part of the queue for WARN and ERROR alone.
    pub(crate) log_reserved_bytes: usize,
    pub(crate) log_file_bytes: usize,
    pub(crate) log_files_kept: usize,
    pub(crate) log_filter: String,
    pub(crate) trace_filter: String,
    /// How much the crate says of itself; where it is not set, the filter of lines decides.
    pub(crate) diagnostics: Option<LevelFilter>,
    /// Log events are copied into their spans.
    pub(crate) copies_events: bool,
    /// No `tracing` spans below one that is not sampled.
    pub(crate) skips_unsampled: bool,
    pub(crate) sampler: Sampler,
    /// Whether the sampler may decide by a span's attributes; those that the environment names do not.
    pub(crate) sampler_reads_attributes: bool,
    /// No spans are made at all; the contexts of callers are passed on.
    pub(crate) is_disabled: bool,
    pub(crate) span_limits: SpanLimits,
    /// In characters; `None` is no limit.
    pub(crate) span_value_length: Option<usize>,
    pub(crate) http: HttpConfig,
    /// `None` when spans are not to be exported.
    pub(crate) export: Option<ExportConfig>,
    pub(crate) metrics: MetricsConfig,
    pub(crate) shutdown_timeout: Duration,
}

/// Lines of level INFO and above, of everybody.
const DEFAULT_LOG_FILTER: &str = "info";
/// Spans of level INFO and above. The transports below the exporter and the services' clients make
/// spans of their own at lower levels, which say nothing about a request.
const DEFAULT_TRACE_FILTER: &str = "info";
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

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
            line_options: overrides.line_options.read(overrides.log_format.is_some(), reader),
            log_output: log_output.unwrap_or_default(),
            log_queue_bytes: log_queue_bytes.unwrap_or(DEFAULT_QUEUE_BYTES),
            log_reserved_bytes: log_reserved_bytes.unwrap_or(DEFAULT_RESERVED_BYTES),
            log_file_bytes: log_file_bytes.unwrap_or(DEFAULT_FILE_BYTES),
            log_files_kept: log_files_kept.unwrap_or(DEFAULT_FILES_KEPT).max(1),
            log_filter: log_filter.unwrap_or_else(|| DEFAULT_LOG_FILTER.to_owned()),
            trace_filter: trace_filter.unwrap_or_else(|| DEFAULT_TRACE_FILTER.to_owned()),
            diagnostics: lines::read_diagnostics(reader),
            copies_events: overrides.copies_events,
            skips_unsampled: overrides.skips_unsampled,
            sampler: overrides.sampler.clone().unwrap_or_else(|| spans::read_sampler(reader)),
            sampler_reads_attributes: matches!(overrides.sampler, Some(Sampler::ParentBased(_))),
            is_disabled,
            span_limits: spans::read_limits(reader),
            span_value_length: spans::read_value_length(reader),
            http: HttpConfig::read(overrides, reader),
            export: ExportConfig::read(is_disabled, overrides, reader),
            metrics: MetricsConfig::read(is_disabled, overrides, reader),
            shutdown_timeout: overrides
                .shutdown_timeout
                .unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT)
                .min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::error::Fault;

    fn read(vars: &[(&'static str, &'static str)]) -> (Config, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let config = Config::read(&Overrides::default(), &mut reader);
        (config, reader.into_faults())
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let (config, faults) = read(&[("OTEL_TRACES_EXPORTER", " ")]);
        assert_eq!(faults, []);
        let export = config.export.unwrap();
        assert_eq!((export.queue_spans, export.batch_spans), (16_384, 512));
        assert_eq!(
            (export.delay, export.otlp.timeout),
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
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_LOG_LEVEL", "loud"),
            ("OTEL_LOGS_EXPORTER", "syslog"),
            ("OTEL_METRICS_EXPORTER", "statsd"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "18446744073709551615"),
            ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "1"),
        ];
        let (config, faults) = read(&wrong);
        for (name, value) in wrong {
            let named = faults.iter().any(|fault| fault.setting == name && fault.seen == value);
            assert!(named, "{name} is missing in {faults:?}");
        }
        assert_eq!(faults.len(), wrong.len());
        assert_eq!(config.export.unwrap().queue_spans, 16_384);
    }

    #[test]
    fn a_batch_that_is_larger_than_the_queue_is_a_contradiction() {
        let queue = ("OTEL_BSP_MAX_QUEUE_SIZE", "100");
        let (config, faults) = read(&[queue, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200")]);
        assert_eq!(config.export.unwrap().batch_spans, 100);
        assert!(faults.len() == 1 && faults[0].setting.ends_with("BATCH_SIZE"), "{faults:?}");
        let (config, faults) = read(&[queue]);
        assert_eq!((config.export.unwrap().batch_spans, faults), (100, vec![]));
    }

    #[test]
    fn what_the_builder_is_told_wins_and_its_secrets_do_not_print() {
        let overrides = Overrides {
            otlp_headers: vec![("Authorization".to_owned(), Secret("Bearer hunter2".to_owned()))],
            otlp_timeout: Some(Duration::from_secs(7)),
            otlp_gzip: Some(true),
            propagation: Some(Propagation { trace_context: true, baggage: false }),
            ..Overrides::default()
        };
        let vars = HashMap::from([
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=env,x-tenant=a"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_PROPAGATORS", "none"),
        ]);
        let config = Config::read(&overrides, &mut Reader::new(&vars));
        assert_eq!(config.http.propagation, Propagation { trace_context: true, baggage: false });
        let otlp = &config.export.as_ref().unwrap().otlp;
        assert_eq!((otlp.timeout, otlp.gzip), (Duration::from_secs(7), true));
        let header =
            |name| otlp.headers.iter().find(|(header, _)| header == name).unwrap().1.clone();
        assert_eq!(
            (header("authorization"), header("x-tenant")),
            ("Bearer hunter2".parse().unwrap(), "a".parse().unwrap())
        );
        assert_eq!(otlp.headers.len(), 2);
        let printed = format!("{overrides:?} {config:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn a_secret_in_a_wrong_header_is_not_repeated() {
        let (_, faults) = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization Bearer hunter2")]);
        assert_eq!(faults.len(), 1);
        assert!(!faults[0].to_string().contains("hunter2"), "{}", faults[0]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn a_key_in_place_of_its_path_is_not_repeated() {
        let pasted = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
        for endpoint in ["http://agent:4318", "https://agent:4318"] {
            let (config, faults) = read(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", pasted),
            ]);
            let told = format!("{faults:?} {config:?}");
            assert!(faults.len() == 1 && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn headers_are_percent_decoded() {
        let (config, faults) =
            read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-tenant=a")]);
        assert_eq!(faults, []);
        let headers = config.export.unwrap().otlp.headers;
        assert_eq!(headers[0].1, "Bearer abc");
        assert_eq!(headers[1].0, "x-tenant");
    }

    #[test]
    fn spans_can_be_switched_off() {
        assert!(read(&[("OTEL_SDK_DISABLED", "true")]).0.export.is_none());
        assert!(read(&[("OTEL_TRACES_EXPORTER", "none")]).0.export.is_none());
    }
}

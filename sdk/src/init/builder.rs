//! Settings in code: the builder, and its calls.

mod lines;

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;

use crate::config::{Overrides, Propagation, Secret};
use crate::endpoint::OtlpProtocol;
use crate::log::{LogFormat, LogOutput};

/// Made by [`builder`](super::builder).
#[derive(Debug, Clone)]
#[must_use = "nothing starts before `init` or `try_init`"]
pub struct Builder {
    pub(super) name: String,
    pub(super) overrides: Overrides,
}

/// A way in which a trace goes on from one service to the next; see [`Builder::propagators`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Propagator {
    /// `traceparent` and `tracestate`, as W3C Trace Context has them (`tracecontext`).
    TraceContext,
    /// `baggage`, as W3C Baggage has it (`baggage`).
    Baggage,
}

impl Builder {
    /// How log lines are written; `SPANLINE_LOG_FORMAT` otherwise, and [`LogFormat::Text`] by default.
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.overrides.line_options.template = None;
        self.overrides.line_options.own = None;
        self.overrides.log_format = Some(format);
        self
    }

    /// Where log lines go; `SPANLINE_LOG_OUTPUT` otherwise, and [`LogOutput::Stdout`] by default.
    pub fn log_output(mut self, output: LogOutput) -> Self {
        self.overrides.log_output = Some(output);
        self
    }

    /// How many bytes of lines may wait for an output that is slow or stuck; `SPANLINE_LOG_QUEUE_BYTES` otherwise,
    /// and 8 MiB by default. It is at least one line.
    pub fn log_queue_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_queue_bytes = Some(bytes);
        self
    }

    /// How many of these only WARN and ERROR may use, which explain the flood that fills the rest;
    /// `SPANLINE_LOG_RESERVED_BYTES` otherwise, and 1 MiB by default.
    pub fn log_reserved_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_reserved_bytes = Some(bytes);
        self
    }

    /// A log file that would grow beyond so many bytes is renamed, and another one begun;
    /// `SPANLINE_LOG_FILE_BYTES` otherwise, and 10 MiB by default. A line is never torn for it.
    pub fn log_file_bytes(mut self, bytes: usize) -> Self {
        self.overrides.log_file_bytes = Some(bytes);
        self
    }

    /// How many renamed log files are kept, at least 1; `SPANLINE_LOG_FILES_KEPT` otherwise, and 5 by default.
    pub fn log_files_kept(mut self, count: usize) -> Self {
        self.overrides.log_files_kept = Some(count);
        self
    }

    /// Which events become lines, in the syntax of `RUST_LOG`, which is read otherwise; `info` by default.
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.overrides.log_filter = Some(directives.into());
        self
    }

    /// Which `tracing` spans become OpenTelemetry spans, in the same syntax; `SPANLINE_TRACE_FILTER`
    /// otherwise, and `info` by default. Requests' spans are never filtered.
    pub fn trace_filter(mut self, directives: impl Into<String>) -> Self {
        self.overrides.trace_filter = Some(directives.into());
        self
    }

    /// Where spans go, such as `http://127.0.0.1:4318`; the environment says it otherwise.
    pub fn otlp_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.overrides.otlp_endpoint = Some(endpoint.into());
        self
    }

    /// How spans are sent; `OTEL_EXPORTER_OTLP_PROTOCOL` otherwise, and HTTP by default.
    pub fn otlp_protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.overrides.otlp_protocol = Some(protocol);
        self
    }

    /// Sends a header with every request to the receiver, such as one that authorizes it; it wins over one of
    /// the same name in `OTEL_EXPORTER_OTLP_HEADERS`. Its value is never printed.
    pub fn otlp_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.otlp_headers.push((name.into(), Secret(value.into())));
        self
    }

    /// How long one try may take; `OTEL_EXPORTER_OTLP_TIMEOUT` otherwise, and 3 s by default.
    pub fn otlp_timeout(mut self, timeout: Duration) -> Self {
        self.overrides.otlp_timeout = Some(timeout);
        self
    }

    /// Whether requests are packed; `OTEL_EXPORTER_OTLP_COMPRESSION` otherwise, and not by default: the agent
    /// is near.
    pub fn otlp_gzip(mut self, pack: bool) -> Self {
        self.overrides.otlp_gzip = Some(pack);
        self
    }

    /// What is taken from callers and told to those that are called; `OTEL_PROPAGATORS` otherwise, and all
    /// of them by default.
    pub fn propagators(mut self, propagators: &[Propagator]) -> Self {
        self.overrides.propagation = Some(Propagation {
            trace_context: propagators.contains(&Propagator::TraceContext),
            baggage: propagators.contains(&Propagator::Baggage),
        });
        self
    }

    /// Which traces are recorded; `OTEL_TRACES_SAMPLER` otherwise, and all of them by default.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.overrides.sampler = Some(sampler);
        self
    }

    /// Copies every log event into its span as well, as a span event, with its fields or the key-values of its record;
    /// otherwise it is a line only, which leads to its span by the ids.
    pub fn copy_events_to_spans(mut self, copy: bool) -> Self {
        self.overrides.copies_events = copy;
        self
    }

    /// Makes no `tracing` span where the active span is not sampled, which then costs little more than asking.
    ///
    /// Off by default, because a span that is not made is no span at all to whoever holds it: its
    /// `context()` is empty, and a span that names it as its explicit parent begins a trace of its own. What is
    /// made with `parent: None`, or `parent:` a sampled span, is not made either. Lines carry the ids of the active
    /// span just the same.
    pub fn skip_unsampled_spans(mut self, skip: bool) -> Self {
        self.overrides.skips_unsampled = skip;
        self
    }

    /// A poll of a request's future that takes longer is counted as slow
    /// (`spanline_http_server_slow_polls_total`); `SPANLINE_SLOW_POLL_THRESHOLD` milliseconds otherwise, and 10 ms by
    /// default.
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.overrides.slow_poll = Some(threshold);
        self
    }

    /// Says more about who is speaking; `OTEL_RESOURCE_ATTRIBUTES` wins over it.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.resource_attributes.push((key.into(), value.into()));
        self
    }

    /// Where `/metrics` is served; `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT` otherwise, and 0.0.0.0:9464 by
    /// default. Port 0 is any free one, which [`Telemetry::metrics_addr`](crate::Telemetry::metrics_addr) then tells.
    pub fn metrics_addr(mut self, address: SocketAddr) -> Self {
        self.overrides.metrics_address = Some(address);
        self
    }

    /// Pushes metrics by OTLP this often, as well as serving them; `otlp` in `OTEL_METRICS_EXPORTER` and
    /// `OTEL_METRIC_EXPORT_INTERVAL` otherwise, and no pushes by default.
    pub fn push_metrics(mut self, interval: Duration) -> Self {
        self.overrides.metrics_push_interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// Puts a prefix such as `shop_` before the name of every metric that the service registers. The names that
    /// conventions and libraries give are left as they are, since dashboards know them.
    pub fn metric_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.overrides.metric_prefix = prefix.into();
        self
    }

    /// Puts a label on every series, unless it has one of the name itself.
    pub fn metric_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.metric_labels.push((name.into(), value.into()));
        self
    }

    /// The version of the service (`service.version`), such as `env!("CARGO_PKG_VERSION")`.
    pub fn service_version(self, version: impl Into<String>) -> Self {
        self.resource_attribute("service.version", version)
    }

    /// The group of services that this one belongs to (`service.namespace`); within it, `service.name` is
    /// unique.
    pub fn service_namespace(self, namespace: impl Into<String>) -> Self {
        self.resource_attribute("service.namespace", namespace)
    }

    /// How long the shutdown may take for everything together; 5 s by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.overrides.shutdown_timeout = Some(timeout);
        self
    }
}

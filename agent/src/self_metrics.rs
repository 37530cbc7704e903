//! The agent's own counters: each is declared here, once, with its help text.
//!
//! Names follow Prometheus: base units, `_total` on counters. Labels are closed sets of words, and the
//! names of the configured exporters, so no input can make a new series.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Every counter of the agent; one value, shared by all stages.
#[derive(Debug)]
pub struct SelfMetrics {
    /// What the tailer read.
    pub tail: Tail,
    /// What the OTLP receivers took and refused.
    pub receive: Receive,
    /// What listeners did not let in.
    pub serve: Serve,
    /// What left the queues.
    pub export: Export,
    /// What became of data points in the exporter `prometheus` and in the store.
    pub points: Points,
    /// What the embedded store holds.
    pub store: Store,
    registry: Registry,
}

/// Counters of the tailer.
#[derive(Debug, Default)]
pub struct Tail {
    /// Lines read from container log files.
    pub lines_read: Counter,
    /// Bytes read from container log files.
    pub bytes_read: Counter,
    /// Files followed at this moment.
    pub files_open: Gauge,
    /// Lines that could not be read or were cut, by reason.
    pub lines_dropped: Family<Reason, Counter>,
    /// Files that could not be opened or read, by reason.
    pub file_errors: Family<Reason, Counter>,
}

/// Counters of the OTLP receivers.
#[derive(Debug, Default)]
pub struct Receive {
    /// Spans, log records and data points taken in.
    pub accepted: Family<SignalTransport, Counter>,
    /// Requests that were refused, by reason.
    pub refused: Family<RefusedRequest, Counter>,
}

/// Counters of the listeners.
#[derive(Debug, Default)]
pub struct Serve {
    /// Connections that did not get through their TLS handshake, by listener and reason.
    pub connections_refused: Family<ListenerReason, Counter>,
    /// Requests whose sender is not let in, by listener and reason.
    pub requests_denied: Family<ListenerReason, Counter>,
}

/// Counters of the queues and the exporters behind them.
#[derive(Debug, Default)]
pub struct Export {
    /// Items that an exporter has delivered.
    pub exported: Family<SignalExporter, Counter>,
    /// Items that were given up, by reason.
    pub dropped: Family<SignalReason, Counter>,
    /// Attempts to deliver that failed, by exporter and reason.
    pub failures: Family<ExporterReason, Counter>,
    /// Bytes waiting in the queue of an exporter.
    pub queue_bytes: Family<ExporterName, Gauge>,
}

/// Counters of data points, after they were delivered.
#[derive(Debug, Default)]
pub struct Points {
    /// Points that were not kept, by exporter and reason.
    pub refused: Family<ExporterReason, Counter>,
    /// Series that the exporter `prometheus` keeps.
    pub series: Gauge,
    /// Bytes that they take in memory.
    pub series_bytes: Gauge,
}

/// Counters of the embedded store.
#[derive(Debug, Default)]
pub struct Store {
    /// Bytes on disk.
    pub size_bytes: Gauge,
    /// Time slices that were deleted whole to stay under the cap.
    pub slices_deleted: Counter,
    /// Writes that failed and were tried again, by reason.
    pub write_errors: Family<Reason, Counter>,
}

/// Why something did not happen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// A short word from a closed set.
    pub reason: &'static str,
}

/// A signal, and how it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SignalTransport {
    /// `logs`, `traces` or `metrics`.
    pub signal: &'static str,
    /// `grpc` or `http`.
    pub transport: &'static str,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedRequest {
    /// `logs`, `traces` or `metrics`.
    pub signal: &'static str,
    /// `grpc` or `http`.
    pub transport: &'static str,
    /// A short word from a closed set.
    pub reason: &'static str,
}

/// A listener, and why it did not let somebody in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerReason {
    /// The keys that lead to it in the configuration.
    pub listener: String,
    /// A short word from a closed set.
    pub reason: &'static str,
}

/// A signal, and where it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SignalExporter {
    /// `logs`, `traces` or `metrics`.
    pub signal: &'static str,
    /// The exporter's name in the configuration.
    pub exporter: String,
}

/// A signal, and why it was given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SignalReason {
    /// `logs`, `traces` or `metrics`.
    pub signal: &'static str,
    /// A short word from a closed set.
    pub reason: &'static str,
}

/// An exporter.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExporterName {
    /// The exporter's name in the configuration.
    pub exporter: String,
}

/// An exporter, and why it did not take something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExporterReason {
    /// The exporter's name in the configuration.
    pub exporter: String,
    /// A short word from a closed set.
    pub reason: &'static str,
}

impl SelfMetrics {
    /// All counters at zero.
    pub fn new() -> Self {
        Self::of(&[])
    }

    /// All counters at zero, of an agent of whom `target_info` says these labels; without any it is left out.
    pub fn of(target: &[(String, String)]) -> Self {
        let (tail, receive, serve) = (Tail::default(), Receive::default(), Serve::default());
        let (export, points, store) = (Export::default(), Points::default(), Store::default());
        let mut registry = Registry::default();
        if !target.is_empty() {
            let info = Info::new(target.to_vec());
            registry.register("target", "What the agent was told of itself", info);
        }
        let r = registry.sub_registry_with_prefix("spanline_agent");
        r.register("lines_read", "Lines read from container log files", tail.lines_read.clone());
        r.register_with_unit(
            "tail_read",
            "Bytes read from container log files",
            Unit::Bytes,
            tail.bytes_read.clone(),
        );
        r.register(
            "files_open",
            "Container log files followed at this moment",
            tail.files_open.clone(),
        );
        r.register(
            "lines_dropped",
            "Lines that could not be kept, by reason",
            tail.lines_dropped.clone(),
        );
        r.register(
            "file_errors",
            "Failures to open or read a container log file, by reason",
            tail.file_errors.clone(),
        );
        r.register(
            "received_items",
            "Spans, log records and data points taken in by OTLP",
            receive.accepted.clone(),
        );
        r.register(
            "refused_requests",
            "OTLP requests that were refused, by reason",
            receive.refused.clone(),
        );
        r.register(
            "refused_connections",
            "Connections that did not get through their TLS handshake, by listener and reason",
            serve.connections_refused.clone(),
        );
        r.register(
            "denied_requests",
            "Requests whose sender shows no credentials that a listener knows, by reason",
            serve.requests_denied.clone(),
        );
        r.register(
            "exported_items",
            "Spans, log records and data points that an exporter has delivered",
            export.exported.clone(),
        );
        r.register(
            "dropped_items",
            "Spans, log records and data points that were given up, by reason",
            export.dropped.clone(),
        );
        r.register(
            "export_failures",
            "Attempts of an exporter to deliver that failed, by reason",
            export.failures.clone(),
        );
        r.register_with_unit(
            "queue",
            "Bytes waiting in the queue of an exporter",
            Unit::Bytes,
            export.queue_bytes.clone(),
        );
        r.register(
            "points_refused",
            "Data points that the exporter prometheus or the store did not keep, by reason",
            points.refused.clone(),
        );
        r.register(
            "prometheus_series",
            "Series that the exporter prometheus keeps; a histogram is one",
            points.series.clone(),
        );
        r.register_with_unit(
            "prometheus_series",
            "Bytes that the series of the exporter prometheus take in memory",
            Unit::Bytes,
            points.series_bytes.clone(),
        );
        r.register_with_unit(
            "store_size",
            "Bytes that the embedded store holds on disk",
            Unit::Bytes,
            store.size_bytes.clone(),
        );
        r.register(
            "store_slices_deleted",
            "Time slices that the embedded store deleted to stay under its cap",
            store.slices_deleted.clone(),
        );
        r.register(
            "store_write_errors",
            "Writes of the embedded store that failed and were tried again, by reason",
            store.write_errors.clone(),
        );
        Self { tail, receive, serve, export, points, store, registry }
    }

    /// Every counter in the OpenMetrics text format.
    ///
    /// # Errors
    /// Only when a label cannot be written, which the label types above rule out.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The same in Prometheus's text format 0.0.4, for those who do not ask for OpenMetrics.
    ///
    /// # Errors
    /// As [`SelfMetrics::encode`].
    pub fn encode_text(&self) -> Result<String, fmt::Error> {
        Ok(text_of(&self.encode()?))
    }
}

/// OpenMetrics as text 0.0.4, which calls a family as its sample, with `_total` or `_info`, knows no type `info`, and has
/// neither units nor an end. There are no examples here.
fn text_of(open_metrics: &str) -> String {
    let kind = |family: &str| {
        let mut types = open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.find_map(|line| line.strip_prefix(family)?.strip_prefix(' ')).unwrap_or_default()
    };
    let mut text = String::with_capacity(open_metrics.len() + 512);
    for line in open_metrics.lines() {
        let head = line.strip_prefix("# ").and_then(|head| {
            let (keyword, rest) = head.split_once(' ')?;
            let (family, said) = rest.split_once(' ')?;
            Some((keyword, family, said))
        });
        match head {
            Some((keyword @ ("HELP" | "TYPE"), family, said)) => {
                let (ending, kind) = match kind(family) {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                let said = if keyword == "TYPE" { kind } else { said };
                text.extend(["# ", keyword, " ", family, ending, " ", said, "\n"]);
            }
            Some(_) => {}
            None if line == "# EOF" => {}
            None => text.extend([line, "\n"]),
        }
    }
    text
}

impl Default for SelfMetrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_served_under_its_full_name() {
        let metrics = SelfMetrics::new();
        metrics.tail.lines_read.inc_by(3);
        let dropped = SignalReason { signal: "metrics", reason: "no_exporter" };
        metrics.export.dropped.get_or_create(&dropped).inc();
        let text = metrics.encode().unwrap();
        assert!(text.contains("spanline_agent_lines_read_total 3\n"), "{text}");
        let line =
            "spanline_agent_dropped_items_total{signal=\"metrics\",reason=\"no_exporter\"} 1\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn what_the_agent_is_told_of_itself_is_target_info() {
        let text =
            SelfMetrics::of(&[("host_name".to_owned(), "n\"1".to_owned())]).encode().unwrap();
        assert!(text.contains("target_info{host_name=\"n\\\"1\"} 1\n"), "{text}");
        assert!(!SelfMetrics::new().encode().unwrap().contains("target_info"));
    }

    #[test]
    fn text_0_0_4_has_the_same_samples_and_calls_counters_by_their_whole_name() {
        let metrics = SelfMetrics::of(&[("host_name".to_owned(), "n".to_owned())]);
        metrics.tail.bytes_read.inc_by(3);
        metrics.tail.files_open.set(2);
        let (open_metrics, text) = (metrics.encode().unwrap(), metrics.encode_text().unwrap());
        let samples = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        assert_eq!(samples(&text), samples(&open_metrics));
        for line in [
            "# HELP spanline_agent_tail_read_bytes_total Bytes read from container log files.\n",
            "# TYPE spanline_agent_tail_read_bytes_total counter\nspanline_agent_tail_read_bytes_total 3\n",
            "# TYPE target_info gauge\ntarget_info{host_name=\"n\"} 1\n",
            "# TYPE spanline_agent_files_open gauge\nspanline_agent_files_open 2\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
        assert!(open_metrics.ends_with("# EOF\n"), "{open_metrics}");
    }
}

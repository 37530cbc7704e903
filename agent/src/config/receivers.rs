//! The receivers' settings.

use std::path::PathBuf;
use std::time::Duration;

use super::component::{ALL_SIGNALS, Kind, Signal};
use super::section::{Section, Setting};
use super::yaml::Value;

/// A receiver and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Receiver {
    /// OTLP over gRPC and HTTP.
    Otlp(Otlp),
    /// Tailed files.
    Filelog(Filelog),
}

/// The `otlp` receiver: each protocol that is named is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Where gRPC is received.
    pub grpc: Option<Setting>,
    /// Where HTTP is received.
    pub http: Option<Setting>,
}

/// The `filelog` receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filelog {
    /// The folder of pod logs: `include` is `<folder>/*/*/*.log`.
    pub pods_dir: PathBuf,
    /// How often files are looked at.
    pub poll_interval: Duration,
    /// The extension that keeps the checkpoint; without one it is kept in memory only.
    pub storage: Option<String>,
}

pub(super) const KINDS: &[Kind<Receiver>] = &[
    Kind {
        name: "filelog",
        aliases: &["file_log"],
        signals: &[Signal::Logs],
        read: filelog,
        sample: "{include: ['/p/*/*/*.log'], start_at: beginning, operators: [{type: container}, {type: spanline_parser}]}",
    },
    Kind {
        name: "otlp",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: otlp,
        sample: "protocols: {grpc: {}, http: {}}",
    },
];

/// What `include` ends with: a pod's folder, a container's folder, the log of a run.
const PODS_GLOB: &str = "/*/*/*.log";

fn otlp(section: &mut Section<'_>) -> Option<Receiver> {
    let mut protocols = section.section("protocols");
    let (has_grpc, has_http) = (protocols.has("grpc"), protocols.has("http"));
    let grpc = protocols.section("grpc").listen("endpoint", "localhost:4317");
    let http = protocols.section("http").listen("endpoint", "localhost:4318");
    if !has_grpc && !has_http {
        protocols.fault("one of grpc and http must be there");
        return None;
    }
    let (grpc, http) = (has_grpc.then_some(grpc), has_http.then_some(http));
    Some(Receiver::Otlp(Otlp { grpc, http }))
}

fn filelog(section: &mut Section<'_>) -> Option<Receiver> {
    let pods_dir = include(section);
    section.choice("start_at", &[("beginning", ())], ());
    if !section.has("start_at") {
        section
            .fault("start_at is missing: the default \"end\" is not supported, \"beginning\" is");
    }
    let poll_interval = section.duration("poll_interval", Duration::from_millis(200));
    let storage = section.text("storage");
    let mut retry = section.section("retry_on_failure");
    if !retry.bool("enabled", true) {
        retry
            .fault("enabled is true and cannot be false: lines that were not taken are read again");
    }
    drop(retry);
    let operators: Vec<_> = section.sections("operators").iter_mut().map(operator).collect();
    if operators != ["container", "spanline_parser"] {
        section
            .fault("supported operators are container and after it spanline_parser, both of them");
    }
    Some(Receiver::Filelog(Filelog { pods_dir: pods_dir?, poll_interval, storage }))
}

fn include(section: &mut Section<'_>) -> Option<PathBuf> {
    let expected = "a list of one pattern for pod logs such as /var/log/pods/*/*/*.log";
    let Some(node) = section.raw("include") else {
        section.fault(format!("include is missing; it is {expected}"));
        return None;
    };
    let include = match &node.value {
        Value::List(_) => section.texts("include"),
        _ => return section.wrong("include", node, expected),
    };
    let folder = match include.as_slice() {
        [pattern] => {
            pattern.strip_suffix(PODS_GLOB).filter(|folder| !folder.contains(['*', '?', '[']))
        }
        _ => None,
    };
    folder.map(PathBuf::from).or_else(|| section.wrong("include", node, expected))
}

fn operator(section: &mut Section<'_>) -> String {
    let kind =
        section.required("type", "the operator's name").map(|kind| kind.text).unwrap_or_default();
    if !matches!(kind.as_str(), "" | "container" | "spanline_parser") {
        section.fault(format!(
            "the operator {kind:?} is not supported; supported are container, spanline_parser"
        ));
    }
    kind
}

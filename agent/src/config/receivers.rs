//! The receivers' settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::component::{ALL_SIGNALS, Kind, Signal};
use super::glob;
use super::operators::{self, Operator, OperatorKind};
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
#[derive(Debug, Clone)]
pub struct Filelog {
    /// The folder of pod logs: `include` is `<folder>/*/*/*.log`.
    pub pods_dir: PathBuf,
    /// Logs that are left alone.
    pub exclude: Vec<Regex>,
    /// Whether logs that are there at the first start are read from their beginning; else only what is added to them.
    pub from_beginning: bool,
    /// Whether records have `log.file.name`.
    pub include_file_name: bool,
    /// Whether records have `log.file.path`.
    pub include_file_path: bool,
    /// What makes records of lines.
    pub parser: LineParser,
    /// How often files are looked at.
    pub poll_interval: Duration,
    /// The extension that keeps the checkpoint; without one it is kept in memory only.
    pub storage: Option<String>,
}

/// What makes records of lines.
#[derive(Debug, Clone)]
pub enum LineParser {
    /// `container` and `spanline_parser`: entries of containers, and our own lines in them.
    Own,
    /// What the configuration names.
    Operators(Arc<[Operator]>),
}

/// Compared by what it does; a pattern is its text.
impl PartialEq for Filelog {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

pub(super) const KINDS: &[Kind<Receiver>] = &[
    Kind {
        name: "filelog",
        aliases: &["file_log"],
        signals: &[Signal::Logs],
        read: filelog,
        sample: "{include: ['/p/*/*/*.log'], start_at: beginning, operators: [{type: noop}]}",
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
    let from_beginning = section.choice("start_at", &[("beginning", true), ("end", false)], false);
    let poll_interval = section.duration("poll_interval", Duration::from_millis(200));
    let storage = section.text("storage");
    let mut retry = section.section("retry_on_failure");
    if !retry.bool("enabled", true) {
        retry
            .fault("enabled is true and cannot be false: lines that were not taken are read again");
    }
    drop(retry);
    let mut exclude = Vec::new();
    for pattern in section.texts("exclude") {
        match glob::parse(&pattern) {
            Some(pattern) => exclude.push(pattern),
            None => section.fault(format!("{pattern:?} in exclude is no pattern of paths")),
        }
    }
    let include_file_name = section.bool("include_file_name", true);
    let include_file_path = section.bool("include_file_path", false);
    let parser = if operators::is_own(section) {
        LineParser::Own
    } else {
        let operators = operators::read(section)?;
        let needs_path = |operator: &Operator| match &operator.kind {
            OperatorKind::Container(container) => container.add_metadata,
            _ => false,
        };
        if !include_file_path && operators.iter().any(needs_path) {
            section.fault(
                "the operator container reads the pod from the file's path, and include_file_path is false: set it to true, or \
                 the operator's add_metadata_from_filepath to false",
            );
        }
        LineParser::Operators(operators.into())
    };
    Some(Receiver::Filelog(Filelog {
        pods_dir: pods_dir?,
        exclude,
        from_beginning,
        include_file_name,
        include_file_path,
        parser,
        poll_interval,
        storage,
    }))
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

//! The receiver `filelog`: which files, how they are cut into lines, and what the lines have beside their text.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use regex::bytes::{Regex as BytesRegex, RegexBuilder};

use super::glob::{self, PathPattern};
use super::operators::{self, Operator, OperatorKind};
use super::receivers::Receiver;
use super::section::Section;
use super::yaml::Value;

/// The `filelog` receiver.
#[derive(Debug, Clone)]
pub struct Filelog {
    /// Which files.
    pub files: Files,
    /// Logs that are left alone.
    pub exclude: Vec<Regex>,
    /// Logs that nobody has written to for so long are left alone too.
    pub exclude_older_than: Option<Duration>,
    /// Which of them are gzipped.
    pub compression: Compression,
    /// Whether logs that are there at the first start are read from their beginning; else only what is added to them.
    pub from_beginning: bool,
    /// How files become lines.
    pub cutting: Cutting,
    /// What every line has beside its text.
    pub described: Described,
    /// What makes records of lines.
    pub parser: LineParser,
    /// How often files are looked at.
    pub poll_interval: Duration,
    /// How many files may be open.
    pub max_open_files: usize,
    /// How much of a file's beginning tells it from others.
    pub fingerprint_bytes: usize,
    /// The extension that keeps the checkpoint; without one it is kept in memory only.
    pub storage: Option<String>,
}

/// Which files are tailed.
#[derive(Debug, Clone)]
pub enum Files {
    /// The folder of pod logs: `include` is `<folder>/*/*/*.log`.
    Pods(PathBuf),
    /// Whatever matches.
    Matching(Vec<PathPattern>),
}

/// Which files are gzipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Those that a rotation has made so.
    Rotated,
    /// Also those whose names end with `.gz`.
    ByName,
    /// All.
    All,
}

/// How a file becomes lines.
#[derive(Debug, Clone)]
pub struct Cutting {
    /// Where a line ends.
    pub at: CutAt,
    /// Longest line.
    pub max_bytes: usize,
    /// What becomes of a longer one: its rest is the next line, or is cut off and counted.
    pub splits_long: bool,
    /// How long the rest of a line is waited for; without it, until it comes.
    pub flush_after: Option<Duration>,
}

/// Where a line ends.
#[derive(Debug, Clone)]
pub enum CutAt {
    /// At a newline.
    Newline,
    /// Before the next match, which begins a line.
    Start {
        /// The pattern.
        pattern: BytesRegex,
        /// Whether the match is none of it.
        omit: bool,
    },
    /// Behind a match.
    End {
        /// The pattern.
        pattern: BytesRegex,
        /// Whether the match is none of it.
        omit: bool,
    },
}

/// What every line has beside its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
pub struct Described {
    /// `log.file.name`
    pub name: bool,
    /// `log.file.path`
    pub path: bool,
    /// `log.file.name_resolved`: behind symbolic links.
    pub name_resolved: bool,
    /// `log.file.path_resolved`
    pub path_resolved: bool,
    /// Attributes that stand in the configuration.
    pub attributes: Vec<(String, String)>,
    /// Attributes of the resource that stand in the configuration.
    pub resource: Vec<(String, String)>,
    /// Whether blanks before a line belong to it.
    pub keeps_leading_blanks: bool,
    /// Whether blanks behind a line belong to it.
    pub keeps_trailing_blanks: bool,
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

impl Default for Cutting {
    fn default() -> Self {
        Self {
            at: CutAt::Newline,
            max_bytes: DEFAULT_MAX_LINE_BYTES,
            splits_long: false,
            flush_after: None,
        }
    }
}

const DEFAULT_MAX_LINE_BYTES: usize = 1024 * 1024;
/// What `include` ends with: a pod's folder, a container's folder, the log of a run.
const PODS_GLOB: &str = "/*/*/*.log";
/// The waiting time for a line that only the next one ends.
const PATTERN_FLUSHED: Duration = Duration::from_millis(500);
const DEFAULT_FINGERPRINT_BYTES: u64 = 1_000;
const MIN_FINGERPRINT_BYTES: u64 = 16;
const MAX_FINGERPRINT_BYTES: u64 = 64 * 1024;
/// With these the pair of our own is not enough: its operators work one after the other.
const BEYOND_OWN: [&str; 12] = [
    "attributes",
    "resource",
    "include_file_name",
    "include_file_path",
    "include_file_name_resolved",
    "include_file_path_resolved",
    "preserve_leading_whitespaces",
    "preserve_trailing_whitespaces",
    "multiline",
    "max_log_size",
    "force_flush_period",
    "encoding",
];

pub(super) fn read(section: &mut Section<'_>) -> Option<Receiver> {
    let files = include(section);
    let mut exclude = Vec::new();
    for pattern in section.texts("exclude") {
        match glob::parse(&pattern) {
            Some(pattern) => exclude.push(pattern),
            None => section.fault(format!("{pattern:?} in exclude is no pattern of paths")),
        }
    }
    let older = section.duration("exclude_older_than", Duration::ZERO);
    let compressions =
        [("", Compression::Rotated), ("auto", Compression::ByName), ("gzip", Compression::All)];
    let compression = section.choice("compression", &compressions, Compression::Rotated);
    let from_beginning = section.choice("start_at", &[("beginning", true), ("end", false)], false);
    let poll_interval = section.duration("poll_interval", Duration::from_millis(200));
    let storage = section.text("storage");
    let mut retry = section.section("retry_on_failure");
    if !retry.bool("enabled", true) {
        retry
            .fault("enabled is true and cannot be false: lines that were not taken are read again");
    }
    drop(retry);
    let max_open_files = section.count("max_concurrent_files", 1_024);
    if max_open_files == 0 {
        section.fault("max_concurrent_files must be more than 0");
    }
    let fingerprint = section.bytes("fingerprint_size", DEFAULT_FINGERPRINT_BYTES);
    if !(MIN_FINGERPRINT_BYTES..=MAX_FINGERPRINT_BYTES).contains(&fingerprint) {
        section.fault(format!(
            "fingerprint_size is from {MIN_FINGERPRINT_BYTES} to {MAX_FINGERPRINT_BYTES} bytes"
        ));
    }
    let is_own = operators::is_own(section) && !BEYOND_OWN.iter().any(|key| section.has(key));
    let cutting = cutting(section, is_own);
    let described = described(section);
    let parser = if is_own { LineParser::Own } else { line_parser(section, &described)? };
    Some(Receiver::Filelog(Box::new(Filelog {
        files: files?,
        exclude,
        exclude_older_than: (!older.is_zero()).then_some(older),
        compression,
        from_beginning,
        cutting: cutting?,
        described,
        parser,
        poll_interval,
        max_open_files: usize::try_from(max_open_files).unwrap_or(usize::MAX),
        fingerprint_bytes: usize::try_from(fingerprint).unwrap_or(usize::MAX),
        storage,
    })))
}

fn include(section: &mut Section<'_>) -> Option<Files> {
    let expected = "a list of patterns of paths such as /var/log/pods/*/*/*.log";
    let Some(node) = section.raw("include") else {
        section.fault(format!("include is missing; it is {expected}"));
        return None;
    };
    let include = match &node.value {
        Value::List(nodes) if !nodes.is_empty() => section.texts("include"),
        _ => return section.wrong("include", node, expected),
    };
    if let [pattern] = include.as_slice()
        && let Some(folder) = pattern.strip_suffix(PODS_GLOB)
        && !folder.contains(['*', '?', '[', '{', '\\'])
    {
        return Some(Files::Pods(PathBuf::from(folder)));
    }
    let mut patterns = Vec::new();
    for pattern in &include {
        match PathPattern::parse(pattern) {
            Some(parsed) => patterns.extend(parsed),
            None => section.fault(format!("{pattern:?} in include is no pattern of paths")),
        }
    }
    Some(Files::Matching(patterns))
}

fn cutting(section: &mut Section<'_>, is_own: bool) -> Option<Cutting> {
    section.choice("encoding", &[("utf-8", ()), ("utf8", ())], ());
    let max_bytes = section.bytes("max_log_size", DEFAULT_MAX_LINE_BYTES as u64);
    if max_bytes == 0 {
        section.fault("max_log_size must be more than 0");
    }
    let flush_is_told = section.has("force_flush_period");
    let flush = section.duration("force_flush_period", Duration::ZERO);
    let mut multiline = section.section("multiline");
    let omit = multiline.bool("omit_pattern", false);
    let start = pattern(&mut multiline, "line_start_pattern");
    let end = pattern(&mut multiline, "line_end_pattern");
    let is_told = start.is_some() || end.is_some();
    let at = match (start, end) {
        (None, None) => CutAt::Newline,
        (Some(pattern), None) => CutAt::Start { pattern: pattern?, omit },
        (None, Some(pattern)) => CutAt::End { pattern: pattern?, omit },
        (Some(_), Some(_)) => {
            multiline.fault("one of line_start_pattern and line_end_pattern is expected");
            return None;
        }
    };
    if omit && !is_told {
        multiline.fault("omit_pattern has no effect without a pattern");
    }
    let flush = if is_told && !flush_is_told { PATTERN_FLUSHED } else { flush };
    Some(Cutting {
        at,
        max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        splits_long: !is_own,
        flush_after: (!flush.is_zero()).then_some(flush),
    })
}

/// `Some(None)` when it is there and has a fault.
fn pattern(section: &mut Section<'_>, key: &'static str) -> Option<Option<BytesRegex>> {
    let text = section.text(key)?;
    let built = RegexBuilder::new(&text).multi_line(true).build();
    Some(built.map_err(|_| section.fault(format!("{key} {text:?} is no pattern"))).ok().filter(
        |pattern| {
            let is_empty = pattern.is_match(b"");
            if is_empty {
                section.fault(format!("{key} {text:?} also matches where there is nothing"));
            }
            !is_empty
        },
    ))
}

fn described(section: &mut Section<'_>) -> Described {
    let described = Described {
        name: section.bool("include_file_name", true),
        path: section.bool("include_file_path", false),
        name_resolved: section.bool("include_file_name_resolved", false),
        path_resolved: section.bool("include_file_path_resolved", false),
        attributes: section.text_map("attributes"),
        resource: section.text_map("resource"),
        keeps_leading_blanks: section.bool("preserve_leading_whitespaces", false),
        keeps_trailing_blanks: section.bool("preserve_trailing_whitespaces", false),
    };
    let constants = described.attributes.iter().chain(&described.resource);
    for (key, value) in constants {
        if value.contains("EXPR(") {
            section.fault(format!(
                "{value:?} of {key} is computed by the Collector; here the operator add does that"
            ));
        }
    }
    described
}

fn line_parser(section: &mut Section<'_>, described: &Described) -> Option<LineParser> {
    let operators = operators::read(section)?;
    let needs_path = |operator: &Operator| match &operator.kind {
        OperatorKind::Container(container) => container.add_metadata,
        _ => false,
    };
    if !described.path && operators.iter().any(needs_path) {
        section.fault(
            "the operator container reads the pod from the file's path, and include_file_path is false: set it to true, or \
             the operator's add_metadata_from_filepath to false",
        );
    }
    Some(LineParser::Operators(operators.into()))
}

//! A container's lines become log records; parsing is total, so odd input is a record too.
//!
//! Path, entry, ids and level each have a file of their own, and none of them knows the others' state.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::record::{Body, LogRecord, Resource, Text, text_attribute};
use container::{Joined, Joiner, Stream};
pub use lines::{Held, LineLog, Written};

mod container;
pub mod ids;
mod json;
mod lines;
pub mod operators;
pub mod path;
pub mod severity;
mod time;

/// The parser of one container's lines.
#[derive(Debug)]
pub struct ContainerParser {
    resource: Arc<Resource>,
    joiner: Joiner,
    on_stdout: KeyValue,
    on_stderr: KeyValue,
    cut_lines: u64,
}

impl ContainerParser {
    /// A parser of the lines of `…/<namespace>_<pod>_<uid>/<container>/<n>.log`.
    pub fn new(path: &Path) -> Self {
        Self {
            resource: Arc::new(path::resource(path)),
            joiner: Joiner::default(),
            on_stdout: text_attribute("log.iostream", Stream::Stdout.as_str()),
            on_stderr: text_attribute("log.iostream", Stream::Stderr.as_str()),
            cut_lines: 0,
        }
    }

    /// Who wrote the lines.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Takes the next line of the file, without its newline, and appends every record that it completes.
    pub fn line(&mut self, line: &Bytes, observed_unix_nano: u64, out: &mut Vec<LogRecord>) {
        let Self { joiner, on_stdout, on_stderr, cut_lines, .. } = self;
        joiner.entry(line, |joined| {
            *cut_lines += u64::from(joined.cut);
            out.push(record(joined, observed_unix_nano, on_stdout, on_stderr));
        });
    }

    /// Appends what has begun and not ended: there will be no more.
    pub fn flush(&mut self, observed_unix_nano: u64, out: &mut Vec<LogRecord>) {
        let Self { joiner, on_stdout, on_stderr, cut_lines, .. } = self;
        joiner.flush(|joined| {
            *cut_lines += u64::from(joined.cut);
            out.push(record(joined, observed_unix_nano, on_stdout, on_stderr));
        });
    }

    /// Whether a line has begun that has not ended.
    pub fn is_pending(&self) -> bool {
        self.joiner.is_open()
    }

    /// How many lines were cut since the last call, because they were too long.
    pub fn take_cut_lines(&mut self) -> u64 {
        std::mem::take(&mut self.cut_lines)
    }
}

fn record(
    joined: Joined,
    observed_time_unix_nano: u64,
    on_stdout: &KeyValue,
    on_stderr: &KeyValue,
) -> LogRecord {
    let Joined { time_unix_nano, stream, mut text, .. } = joined;
    if text.ends_with(b"\r") {
        // Half of a CRLF: the line's end, not its content.
        text.truncate(text.len() - 1);
    }
    let found = ids::find(&text);
    let mut attributes = Vec::with_capacity(2);
    match stream {
        Some(Stream::Stdout) => attributes.push(on_stdout.clone()),
        Some(Stream::Stderr) => attributes.push(on_stderr.clone()),
        None => {}
    }
    if let Some(name) = found.service_name {
        attributes.push(text_attribute("service.name", name));
    }
    LogRecord {
        time_unix_nano,
        observed_time_unix_nano,
        severity_number: found.severity.map_or(0, |severity| severity.number),
        severity_text: found.severity.map_or_else(String::new, |level| level.text.to_owned()),
        attributes,
        trace_id: found.trace_id,
        span_id: found.span_id,
        flags: found.flags,
        body: Body::Text(Text::from_utf8_lossy(text)),
    }
}

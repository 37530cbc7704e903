//! A file's lines through the configured operators.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::operators::{Entry, Operators};
use crate::config::Operator;
use crate::record::{Body, LogRecord, Resource, Text, text_attribute};

/// The lines of one file.
#[derive(Debug)]
pub struct LineLog {
    operators: Operators,
    /// What every line's entry begins with.
    attributes: Vec<KeyValue>,
    /// Whoever wrote the newest record; most of a file's records have the same.
    resource: Arc<Resource>,
    /// How many lines there were.
    lines: u64,
    /// Entries on their way out of the operators.
    done: Vec<Entry>,
}

/// What operators hold back after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// That line, and nothing from before it.
    ThisLine,
    /// Something from before it.
    Earlier,
}

/// A record, and who wrote it.
pub type Written = (Arc<Resource>, LogRecord);

impl LineLog {
    /// A file whose lines have its name, its path, both or neither among their attributes.
    pub fn new(path: &Path, with_name: bool, with_path: bool, operators: Arc<[Operator]>) -> Self {
        let mut attributes = Vec::new();
        if let (true, Some(name)) = (with_name, path.file_name()) {
            attributes.push(text_attribute("log.file.name", name.to_string_lossy()));
        }
        if with_path {
            attributes.push(text_attribute("log.file.path", path.to_string_lossy()));
        }
        Self {
            operators: Operators::new(operators),
            attributes,
            resource: Arc::default(),
            lines: 0,
            done: Vec::new(),
        }
    }

    /// Appends what the operators make of a line, and of lines before it.
    pub fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<Written>) -> Held {
        self.lines += 1;
        let line = trimmed_start(line);
        let text = trimmed_end(line.clone());
        if text.is_empty() {
            return self.held();
        }
        let text_len = text.len();
        let body = Text::from_utf8_lossy(text);
        // What was not UTF-8 has become longer.
        let is_same = body.bytes().len() == line.len() && body.bytes().as_ptr() == line.as_ptr();
        let raw = (!is_same || text_len != line.len()).then_some(line);
        let record = LogRecord {
            time_unix_nano: 0,
            observed_time_unix_nano: observed_unix_nano,
            severity_number: 0,
            severity_text: String::new(),
            body: Body::Text(body),
            attributes: self.attributes.clone(),
            trace_id: None,
            span_id: None,
            flags: 0,
        };
        let entry = Entry { record, resource: Vec::new(), line: self.lines, raw, trims_end: true };
        self.operators.run(entry, &mut self.done);
        self.hand_out(out);
        self.held()
    }

    /// Appends what was held back: nothing more belongs to it.
    pub fn flush(&mut self, out: &mut Vec<Written>) {
        self.operators.flush(&mut self.done);
        self.hand_out(out);
    }

    /// How many entries the operators dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        self.operators.take_dropped()
    }

    fn hand_out(&mut self, out: &mut Vec<Written>) {
        for Entry { record, resource, .. } in self.done.drain(..) {
            if resource != self.resource.attributes {
                self.resource = Arc::new(Resource { attributes: resource });
            }
            out.push((Arc::clone(&self.resource), record));
        }
    }

    fn held(&self) -> Held {
        match self.operators.oldest_held() {
            None => Held::Nothing,
            Some(line) if line == self.lines => Held::ThisLine,
            Some(_) => Held::Earlier,
        }
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b'\r' | b'\n' | b'\t' | b' ')
}

/// Without the blanks before it, as in the Collector.
fn trimmed_start(mut line: Bytes) -> Bytes {
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    line.split_off(start)
}

/// Without the blanks behind it.
pub(super) fn trimmed_end(mut line: Bytes) -> Bytes {
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(0, |at| at + 1);
    line.truncate(end);
    line
}

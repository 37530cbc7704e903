//! A file's lines through the configured operators.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::operators::{Entry, Operators};
use crate::config::{Described, Operator};
use crate::record::{Body, LogRecord, Resource, Text, text_attribute};

/// The lines of one file.
#[derive(Debug)]
pub struct LineLog {
    operators: Operators,
    /// What every line's entry begins with.
    attributes: Vec<KeyValue>,
    constants: Vec<KeyValue>,
    keeps_leading_blanks: bool,
    keeps_trailing_blanks: bool,
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
    /// A file whose lines have what `described` says beside their text.
    pub fn new(path: &Path, described: &Described, operators: Arc<[Operator]>) -> Self {
        let mut attributes: Vec<KeyValue> = constants(&described.attributes);
        let mut describe = |is_asked, key, value: Option<Cow<'_, str>>| {
            if let (true, Some(value)) = (is_asked, value) {
                attributes.push(text_attribute(key, value));
            }
        };
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        describe(described.name, "log.file.name", name(path).map(Cow::Owned));
        describe(described.path, "log.file.path", Some(path.to_string_lossy()));
        if described.name_resolved || described.path_resolved {
            let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let resolved_name = name(&resolved).map(Cow::Owned);
            describe(described.name_resolved, "log.file.name_resolved", resolved_name);
            let resolved_path = Some(resolved.to_string_lossy());
            describe(described.path_resolved, "log.file.path_resolved", resolved_path);
        }
        Self {
            operators: Operators::new(operators),
            attributes,
            constants: constants(&described.resource),
            keeps_leading_blanks: described.keeps_leading_blanks,
            keeps_trailing_blanks: described.keeps_trailing_blanks,
            resource: Arc::default(),
            lines: 0,
            done: Vec::new(),
        }
    }

    /// Appends what the operators make of a line, and of lines before it.
    pub fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<Written>) -> Held {
        self.lines += 1;
        let line = if self.keeps_leading_blanks { line } else { trimmed_start(line) };
        let text =
            if self.keeps_trailing_blanks { line.clone() } else { trimmed_end(line.clone()) };
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
        let entry = Entry {
            record,
            resource: self.constants.clone(),
            line: self.lines,
            raw,
            trims_end: !self.keeps_trailing_blanks,
        };
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

fn constants(pairs: &[(String, String)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| text_attribute(key, value.as_str())).collect()
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

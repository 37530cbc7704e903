//! A file's lines through the configured operators: each line becomes at most one record.

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
}

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
        Self { operators: Operators::new(operators), attributes, resource: Arc::default() }
    }

    /// What the operators make of a line; `None` when they drop it.
    pub fn line(
        &mut self,
        mut line: Bytes,
        observed_unix_nano: u64,
    ) -> Option<(Arc<Resource>, LogRecord)> {
        if line.ends_with(b"\r") {
            // Half of a CRLF: the line's end, not its content.
            line.truncate(line.len() - 1);
        }
        let record = LogRecord {
            time_unix_nano: 0,
            observed_time_unix_nano: observed_unix_nano,
            severity_number: 0,
            severity_text: String::new(),
            body: Body::Text(Text::from_utf8_lossy(line)),
            attributes: self.attributes.clone(),
            trace_id: None,
            span_id: None,
            flags: 0,
        };
        let Entry { record, resource } =
            self.operators.run(Entry { record, resource: Vec::new() })?;
        if resource != self.resource.attributes {
            self.resource = Arc::new(Resource { attributes: resource });
        }
        Some((Arc::clone(&self.resource), record))
    }
}

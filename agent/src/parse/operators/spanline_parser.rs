//! `spanline_parser`: the ids, the severity and the service that a line of any of our formats names.

use super::super::ids;
use super::Unfit;
use super::entry::{Entry, put, text_value};
use crate::record::Body;

pub(super) fn run(entry: &mut Entry) -> Result<(), Unfit> {
    let Body::Text(text) = &entry.record.body else { return Err(Unfit) };
    let text = text.clone();
    let found = ids::find(text.bytes());
    let record = &mut entry.record;
    if let Some(severity) = found.severity {
        record.severity_number = severity.number;
        severity.text.clone_into(&mut record.severity_text);
    }
    if let Some(name) = found.service_name {
        put(&mut record.attributes, "service.name", text_value(name));
    }
    (record.trace_id, record.span_id, record.flags) = (found.trace_id, found.span_id, found.flags);
    Ok(())
}

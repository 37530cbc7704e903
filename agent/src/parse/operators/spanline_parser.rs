//! `spanline_parser`: the ids, the severity and the service that a line of any of our formats names, and its time where it begins with it.

use memchr::memchr2;

use super::super::ids;
use super::super::time::unix_nanos;
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
    if record.time_unix_nano == 0 {
        record.time_unix_nano = leading_time(text.bytes()).unwrap_or(0);
    }
    (record.trace_id, record.span_id, record.flags) = (found.trace_id, found.span_id, found.flags);
    Ok(())
}

/// The time of the formats that begin with it, as their first word or as the value of their first key.
fn leading_time(line: &[u8]) -> Option<u64> {
    let rest = [&b"{\"timestamp\":\""[..], b"ts="]
        .into_iter()
        .find_map(|before| line.strip_prefix(before))
        .unwrap_or(line);
    unix_nanos(&rest[..memchr2(b' ', b'"', rest)?])
}

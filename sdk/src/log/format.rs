//! The seam between the formats: one file each, and what they share.

mod json;
mod logfmt;
mod python;
mod text;
mod winston;

use std::fmt::Write as _;
use std::time::Duration;

use tracing::Level;

use super::digits;
use super::escape::{self, Guard};
use super::fields::{Fields, Text, Value};
use super::settings::LogFormat;
use super::time::WrittenTime;
use crate::context::SpanIds;

/// Writes one event as one line.
///
/// A line may be asked for several times, with shorter values, until it fits. So a format must
/// always write the same line for the same event.
pub(crate) trait Format: Send + Sync {
    /// Appends the line, without a newline. Ids come before anything that data can reach; all data
    /// goes through [`escape`].
    fn write(&self, event: &LineEvent<'_>, out: &mut String);

    /// Whether times are local; all others are UTC.
    fn wants_local_time(&self) -> bool {
        false
    }

    /// Whether [`LineEvent::since_last_line`] is used. Finding it out makes threads wait for each
    /// other's caches, so it is not done for everyone.
    fn wants_since_last_line(&self) -> bool {
        false
    }
}

/// All that a format may print.
pub(crate) struct LineEvent<'a> {
    pub(crate) time: WrittenTime<'a>,
    pub(crate) level: Level,
    pub(crate) target: Text<'a>,
    /// The source file's name, without its folders.
    pub(crate) file: Option<Text<'a>>,
    pub(crate) line: Option<u32>,
    pub(crate) ids: Option<SpanIds>,
    pub(crate) service_name: &'a str,
    pub(crate) since_last_line: Duration,
    pub(crate) fields: &'a Fields,
}

/// The format that goes by a name.
pub(crate) fn by_name(name: LogFormat) -> Box<dyn Format> {
    match name {
        LogFormat::Text => Box::new(text::TextFormat),
        LogFormat::Winston => Box::new(winston::WinstonFormat),
        LogFormat::Python => Box::new(python::PythonFormat),
        LogFormat::Json => Box::new(json::JsonFormat),
        LogFormat::Logfmt => Box::new(logfmt::LogfmtFormat),
    }
}

/// `trace_id=T span_id=S`
fn push_ids(out: &mut String, ids: SpanIds) {
    out.push_str("trace_id=");
    digits::push_ascii(out, &ids.trace_hex());
    out.push_str(" span_id=");
    digits::push_ascii(out, &ids.span_hex());
}

/// What a user's field is prefixed with when its name is one of the format's own keys.
fn prefix(name: &str, own_keys: &[&str]) -> &'static str {
    if own_keys.contains(&name) { "field_" } else { "" }
}

/// ` key=value` for each field; the first space only if something is already there.
fn push_pairs(out: &mut String, fields: &Fields, own_keys: &[&str], guard: Guard) {
    for (name, value) in fields.iter() {
        if !out.ends_with(' ') {
            out.push(' ');
        }
        escape::push_key(out, prefix(name, own_keys), name, guard);
        match value {
            Value::Text(text) => escape::push_value(out, text, guard),
            other => push_plain(out, other),
        }
    }
}

/// `,"key":value` for each field.
fn push_members(out: &mut String, fields: &Fields, own_keys: &[&str]) {
    for (name, value) in fields.iter() {
        out.push_str(",\"");
        out.push_str(prefix(name, own_keys));
        escape::push_json_part(out, name);
        out.push_str("\":");
        match value {
            Value::Text(text) => escape::push_json(out, text),
            // JSON has no number for these.
            Value::F64(number) if !number.is_finite() => {
                out.push('"');
                push_plain(out, value);
                out.push('"');
            }
            other => push_plain(out, other),
        }
    }
}

/// `"key":"text"`, where the key is ours.
fn push_member(out: &mut String, key: &str, text: Text<'_>) {
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
    escape::push_json(out, text);
}

/// A value that has nothing to escape.
fn push_plain(out: &mut String, value: Value<'_>) {
    match value {
        Value::U64(number) => digits::push_u64(out, number),
        Value::I64(number) => digits::push_i64(out, number),
        Value::Bool(truth) => out.push_str(if truth { "true" } else { "false" }),
        // Writing to a string cannot fail. `{:?}` keeps the `.0` of a whole number.
        Value::F64(number) => drop(write!(out, "{number:?}")),
        Value::I128(number) => drop(write!(out, "{number}")),
        Value::U128(number) => drop(write!(out, "{number}")),
        Value::Text(text) => escape::push_value(out, text, Guard::On),
    }
}

/// `error`, `warn`, `info`, `debug`, `trace`
const fn lower_case(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`
const fn upper_case(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    }
}

#[cfg(test)]
mod fixtures;

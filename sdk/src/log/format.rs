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
use super::format_name::LogFormat;
use super::out::Out;
use super::time::WrittenTime;
use crate::context::SpanIds;

/// What stands before the name of a field that is called like a key of the format.
const PREFIX: &str = "field_";

/// Writes one event as one line.
///
/// A line may be asked for several times, with shorter values, until it fits. So a format must
/// always write the same line for the same event.
pub(crate) trait Layout: Send + Sync {
    /// Appends the line, without a newline. Ids come before anything that data can reach; all data
    /// goes through [`escape`].
    fn write(&self, event: &LineEvent<'_>, out: &mut Out);

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
    /// `None` where it is not to be printed.
    pub(crate) target: Option<Text<'a>>,
    /// The source file.
    pub(crate) path: Option<&'a str>,
    /// So much of its name is printed.
    pub(crate) max_file_bytes: usize,
    pub(crate) line: Option<u32>,
    pub(crate) ids: Option<SpanIds>,
    pub(crate) service_name: &'a str,
    pub(crate) since_last_line: Duration,
    pub(crate) fields: &'a Fields,
    /// No shorter values will come: the line has to fit now.
    pub(crate) is_last_try: bool,
}

impl<'a> LineEvent<'a> {
    /// The source file's name, without its folders.
    pub(crate) fn file(&self) -> Option<Text<'a>> {
        let name = |path: &'a str| path.rsplit(['/', '\\']).next().unwrap_or(path);
        self.path.map(|path| Text::whole(name(path)).cut_to(self.max_file_bytes))
    }
}

/// The format that goes by a name.
pub(crate) fn by_name(name: LogFormat, colors: bool) -> Box<dyn Layout> {
    match name {
        LogFormat::Text => Box::new(text::TextFormat { colors }),
        LogFormat::Winston => Box::new(winston::WinstonFormat),
        LogFormat::Python => Box::new(python::PythonFormat),
        LogFormat::Json => Box::new(json::JsonFormat),
        LogFormat::Logfmt => Box::new(logfmt::LogfmtFormat),
    }
}

/// As `text` writes it, whatever the format.
pub(crate) fn plain(event: &LineEvent<'_>, out: &mut Out) {
    text::TextFormat { colors: false }.write(event, out);
}

/// `trace_id=T span_id=S`
#[inline]
pub(crate) fn push_ids(out: &mut Out, ids: SpanIds) {
    let mut text = *b"trace_id=00000000000000000000000000000000 span_id=0000000000000000";
    text[9..41].copy_from_slice(&ids.trace_hex());
    text[50..].copy_from_slice(&ids.span_hex());
    out.push_ascii(&text);
}

/// `[trace_id=T span_id=S] `, in one piece: on most lines it is the longest.
#[inline]
fn push_ids_in_brackets(out: &mut Out, ids: SpanIds) {
    let mut text = *b"[trace_id=00000000000000000000000000000000 span_id=0000000000000000] ";
    text[10..42].copy_from_slice(&ids.trace_hex());
    text[51..67].copy_from_slice(&ids.span_hex());
    out.push_ascii(&text);
}

/// What a user's field is prefixed with when its name is one of the format's own keys, or is what another field of the
/// event becomes for that reason: two fields never have one key.
fn prefix(name: &str, fields: &Fields, is_own: impl Fn(&str) -> bool) -> &'static str {
    let mut plain = name;
    loop {
        if is_own(plain) {
            return PREFIX;
        }
        match plain.strip_prefix(PREFIX) {
            Some(shorter) if fields.iter().any(|(known, _)| known == shorter) => plain = shorter,
            _ => return "",
        }
    }
}

/// Whether a reader of JSON takes a key for that of an id: ours, or as other libraries spell it. A field is none.
fn names_an_id(key: &str) -> bool {
    matches!(
        key,
        "trace_id"
            | "traceId"
            | "traceID"
            | "trace.id"
            | "span_id"
            | "spanId"
            | "spanID"
            | "span.id"
    )
}

/// ` key=value` for each field, without the first space where there is one already.
pub(crate) fn push_pairs(out: &mut Out, fields: &Fields, own_keys: &[&str], guard: Guard) {
    if !fields.is_empty() && out.as_bytes().ends_with(b" ") {
        out.drop_last();
    }
    let mut index = 0;
    while let Some((name, value)) = fields.get(index) {
        index += 1;
        escape::push_key(out, prefix(name, fields, |key| own_keys.contains(&key)), name, guard);
        match value {
            Value::Text(text) => escape::push_value(out, text, guard),
            other => push_plain(out, other),
        }
    }
}

/// `,"key":value` for each field.
pub(crate) fn push_members(out: &mut Out, fields: &Fields, own_keys: &[&str]) {
    for (name, value) in fields.iter() {
        out.push_ascii(b",\"");
        out.push_str(prefix(name, fields, |key| names_an_id(key) || own_keys.contains(&key)));
        escape::push_json_part(out, name);
        out.push_ascii(b"\":");
        push_json_value(out, value);
    }
}

/// A value as JSON.
pub(crate) fn push_json_value(out: &mut Out, value: Value<'_>) {
    match value {
        Value::Text(text) => escape::push_json(out, text),
        // JSON has no number for these.
        Value::F64(number) if !number.is_finite() => {
            out.push_ascii(b"\"");
            push_plain(out, value);
            out.push_ascii(b"\"");
        }
        other => push_plain(out, other),
    }
}

/// `"key":"text"`, where the key is ours.
fn push_member(out: &mut Out, key: &str, text: Text<'_>) {
    out.push_ascii(b"\"");
    out.push_str(key);
    out.push_ascii(b"\":");
    escape::push_json(out, text);
}

/// A value that has nothing to escape.
pub(crate) fn push_plain(out: &mut Out, value: Value<'_>) {
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

//! A record as one line of logfmt, as the Collector writes it with `go-logfmt`.
//!
//! Two differences, where the Collector loses text: a body of several lines is the value of `msg` (the Collector takes
//! the first line), and a key of which nothing can be written is left out alone (the Collector drops the record).

use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::line::{Source, body_text};
use crate::export::go_text::float_text;
use crate::record::Body;

/// Longer lines are not read as logfmt.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Keys with their values, in the order in which they are written.
#[derive(Default)]
struct Pairs(Vec<(String, Text)>);

/// A value.
enum Text {
    /// Written as it is, unless it needs quotes.
    Plain(String),
    /// As well, but `null` gets quotes, so that it is not taken for nothing.
    Quoted(String),
}

pub(super) fn write(source: &Source<'_>) -> String {
    let record = source.record;
    let (mut pairs, may_replace) = of_body(&record.body);
    let mut put = |key: &str, text: String| {
        let old = pairs.0.iter_mut().find(|(known, _)| may_replace && known == key);
        match old {
            Some((_, old)) => *old = Text::Quoted(text),
            None => pairs.0.push((key.to_owned(), Text::Quoted(text))),
        }
    };
    if let Some(id) = record.trace_id {
        put("traceID", id.to_string());
    }
    if let Some(id) = record.span_id {
        put("spanID", id.to_string());
    }
    if !record.severity_text.is_empty() {
        put("severity", record.severity_text.clone());
    }
    if record.flags != 0 {
        put("flags", record.flags.to_string());
    }
    for attribute in source.attributes() {
        pairs.add(&format!("attribute_{}", attribute.key), attribute.value.as_ref());
    }
    for attribute in source.resource.iter().filter(|attribute| (source.is_left)(&attribute.key)) {
        pairs.add(&format!("resource_{}", attribute.key), attribute.value.as_ref());
    }
    if let Some(scope) = source.named_scope() {
        pairs.text("instrumentation_scope_name", scope.name.clone());
        if !scope.version.is_empty() {
            pairs.text("instrumentation_scope_version", scope.version.clone());
        }
        for attribute in &scope.attributes {
            let key = format!("instrumentation_scope_attribute_{}", attribute.key);
            pairs.add(&key, attribute.value.as_ref());
        }
    }
    pairs.line()
}

/// What the body says, and whether what comes after it may replace that.
fn of_body(body: &Body) -> (Pairs, bool) {
    let mut pairs = Pairs::default();
    if let Some(text) = body_text(body) {
        match parse(text) {
            Some(parsed) => pairs.0 = parsed,
            None => pairs.text("msg", text.to_owned()),
        }
        // The Collector's keys are of two types here, which are never equal.
        return (pairs, false);
    }
    let Body::Value(value) = body else { return (pairs, false) };
    match &value.value {
        Some(Value::KvlistValue(_)) => pairs.add("", Some(value)),
        Some(Value::ArrayValue(_)) => pairs.add("body", Some(value)),
        _ => pairs.add("msg", Some(value)),
    }
    (pairs, true)
}

impl Pairs {
    fn text(&mut self, key: &str, text: String) {
        self.0.push((key.to_owned(), Text::Quoted(text)));
    }

    /// A value; what is in a map or a list has the way to it as its key.
    fn add(&mut self, key: &str, value: Option<&AnyValue>) {
        let below = |part: &str| match key {
            "" => part.to_owned(),
            key => format!("{key}_{part}"),
        };
        match value.and_then(|value| value.value.as_ref()) {
            None | Some(Value::StringValueStrindex(_)) => {}
            Some(Value::StringValue(text)) => self.text(key, text.clone()),
            Some(Value::BoolValue(truth)) => self.text(key, truth.to_string()),
            Some(Value::IntValue(number)) => self.text(key, number.to_string()),
            Some(Value::DoubleValue(number)) => self.text(key, float_text(*number)),
            Some(Value::BytesValue(bytes)) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.0.push((key.to_owned(), Text::Plain(text)));
            }
            Some(Value::ArrayValue(list)) => {
                for (n, value) in list.values.iter().enumerate() {
                    self.add(&below(&n.to_string()), Some(value));
                }
            }
            Some(Value::KvlistValue(map)) => {
                for entry in &map.values {
                    self.add(&below(&entry.key), entry.value.as_ref());
                }
            }
        }
    }

    fn line(&self) -> String {
        let mut line = String::new();
        for (key, value) in &self.0 {
            let key: String = key.chars().filter(|c| !needs_quotes(*c)).collect();
            if key.is_empty() {
                continue;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += &key;
            line.push('=');
            match value {
                Text::Quoted(text) if text == "null" => line += "\"null\"",
                Text::Plain(text) | Text::Quoted(text) if text.contains(needs_quotes) => {
                    quote(&mut line, text);
                }
                Text::Plain(text) | Text::Quoted(text) => line += text,
            }
        }
        line
    }
}

fn needs_quotes(c: char) -> bool {
    c <= ' ' || matches!(c, '=' | '"' | '\u{fffd}')
}

fn quote(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '\n' => *line += "\\n",
            '\r' => *line += "\\r",
            '\t' => *line += "\\t",
            '\u{fffd}' => *line += "\\ufffd",
            c if c < ' ' => *line += &format!("\\u{:04x}", u32::from(c)),
            c => line.push(c),
        }
    }
    line.push('"');
}

/// The keys and values of a line; `None` when it is not logfmt.
fn parse(text: &str) -> Option<Vec<(String, Text)>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.len() >= MAX_LINE_BYTES || line.contains('\n') {
        return None;
    }
    let (mut pairs, mut rest) = (Vec::new(), line);
    loop {
        rest = rest.trim_start_matches(is_garbage);
        if rest.is_empty() {
            return Some(pairs);
        }
        let end = rest.find(|c| c <= ' ' || c == '=' || c == '"').unwrap_or(rest.len());
        let key = &rest[..end];
        rest = &rest[end..];
        if key.is_empty() || rest.starts_with('"') || key.contains('\u{fffd}') {
            return None;
        }
        let value = match rest.strip_prefix('=') {
            None => String::new(),
            Some(after) => {
                let (value, after) = parse_value(after)?;
                rest = after;
                value
            }
        };
        pairs.push((key.to_owned(), Text::Plain(value)));
    }
}

fn is_garbage(c: char) -> bool {
    c <= ' '
}

/// The value at the beginning of `text`, and what comes after it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        // What is between the quotes is a text of JSON.
        let mut is_escaped = false;
        let end = text.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            ends
        });
        let (quoted, rest) = text.split_at(end?.0 + 1);
        let inner = &quoted[1..quoted.len() - 1];
        let value = match inner.contains('\\') {
            true => serde_json::from_str(quoted).ok()?,
            false => inner.to_owned(),
        };
        return Some((value, rest));
    }
    let end = text.find(|c| c <= ' ' || c == '=' || c == '"').unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (!rest.starts_with(['=', '"'])).then(|| (value.to_owned(), rest))
}

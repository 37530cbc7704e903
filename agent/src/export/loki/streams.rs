//! Log records as Loki's streams, by the rules of the Collector's `loki` exporter.
//!
//! Hints, attributes that whoever configures a pipeline adds, say what becomes of a record: `loki.resource.labels` and
//! `loki.attribute.labels` name the attributes that become labels, `loki.format` how the line is written, and `loki.tenant`
//! the attribute that names the tenant. What became a label is not in the line again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::line::{self, Format};
use crate::config::DefaultLabels;
use crate::export::go_text::as_text;
use crate::record::{LogBatch, LogRecord};

const ATTRIBUTE_LABELS: &str = "loki.attribute.labels";
const RESOURCE_LABELS: &str = "loki.resource.labels";
const TENANT: &str = "loki.tenant";
const FORMAT: &str = "loki.format";
const HINTS: [&str; 4] = [ATTRIBUTE_LABELS, RESOURCE_LABELS, TENANT, FORMAT];

/// The severities as labels, by OTLP's number.
const LEVELS: [&str; 25] = [
    "", "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO",
    "INFO2", "INFO3", "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3",
    "ERROR4", "FATAL", "FATAL2", "FATAL3", "FATAL4",
];

/// Lines with the same labels, of one tenant.
#[derive(Debug, PartialEq)]
pub(super) struct Stream {
    /// As Loki reads them: `{pod="a", stream="b"}`.
    pub(super) labels: String,
    /// `None` leaves it to the headers of the configuration.
    pub(super) tenant: Option<String>,
    /// In the order of their times.
    pub(super) entries: Vec<Entry>,
}

/// A line.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) time_unix_nano: u64,
    pub(super) line: String,
    /// The record that it was made of: the number of its batch, and its number in that.
    pub(super) from: (usize, usize),
}

/// What the records of a delivery become.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// In the order in which they began.
    pub(super) streams: Vec<Stream>,
    /// Records whose hint asks for a format that there is not.
    pub(super) unknown_format: u64,
}

/// Labels by the names of the attributes that they come from.
type Labels = BTreeMap<String, String>;

/// The streams of `batches`; a record without any time is of `now`.
pub(super) fn streams(batches: &[LogBatch], defaults: DefaultLabels, now: u64) -> Streams {
    let mut streams = Streams::default();
    let mut known = HashMap::new();
    for (batch_number, batch) in batches.iter().enumerate() {
        let resource = &batch.resource.attributes;
        let common = of_resource(resource, defaults);
        // Few records have labels of their own: what is the same for all is made once.
        let mut kinds: HashMap<Option<Labels>, Kind> = HashMap::new();
        for (number, record) in batch.records.iter().enumerate() {
            let own = own_labels(record, resource, defaults);
            let level = own.as_ref().and_then(|_| added_level(record, defaults));
            let kind = kinds.entry(own).or_insert_with_key(|own| {
                let mut labels = common.clone();
                labels
                    .extend(own.iter().flatten().map(|(name, text)| (name.clone(), text.clone())));
                Kind::new(labels, resource)
            });
            let hint = get(resource, FORMAT).or_else(|| get(&record.attributes, FORMAT));
            let Some(format) =
                hint.map_or(Some(Format::Json), |hint| Format::named(&as_text(hint)))
            else {
                streams.unknown_format += 1;
                continue;
            };
            let line = line::write(&line::Source {
                format,
                record,
                level,
                scope: batch.scope.as_deref(),
                resource,
                resource_json: &kind.resource_json,
                is_left: &|key| kind.is_left(key),
            });
            let tenant = tenant(&record.attributes, resource);
            let key = (tenant.clone(), kind.text.clone());
            let at = *known.entry(key).or_insert_with(|| {
                let labels = kind.text.clone();
                streams.streams.push(Stream { labels, tenant, entries: Vec::new() });
                streams.streams.len() - 1
            });
            let times = [record.time_unix_nano, record.observed_time_unix_nano, now];
            let time_unix_nano = times.into_iter().find(|time| *time != 0).unwrap_or_default();
            let entry = Entry { time_unix_nano, line, from: (batch_number, number) };
            streams.streams[at].entries.push(entry);
        }
    }
    for stream in &mut streams.streams {
        // Loki takes what is older than the newest line by less than an hour; so the oldest come first.
        stream.entries.sort_by_key(|entry| entry.time_unix_nano);
    }
    streams
}

/// Records with the same labels of one resource.
struct Kind {
    labels: Labels,
    text: String,
    /// What is left of the resource, as a line in JSON has it.
    resource_json: String,
}

impl Kind {
    fn new(labels: Labels, resource: &[KeyValue]) -> Self {
        let mut kind = Self { text: label_text(&labels), labels, resource_json: String::new() };
        kind.resource_json = line::attributes_json(resource, |key| kind.is_left(key));
        kind
    }

    /// Whether an attribute is neither a label nor a hint.
    fn is_left(&self, key: &str) -> bool {
        !HINTS.contains(&key) && !self.labels.contains_key(key)
    }
}

fn of_resource(resource: &[KeyValue], defaults: DefaultLabels) -> Labels {
    let mut labels = Labels::new();
    let text = |key| get(resource, key).map(as_text);
    if defaults.exporter {
        labels.insert("exporter".to_owned(), "OTLP".to_owned());
    }
    if defaults.job
        && let Some(name) = text("service.name")
    {
        let job = match text("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        };
        labels.insert("job".to_owned(), job);
    }
    if defaults.instance
        && let Some(instance) = text("service.instance.id")
    {
        labels.insert("instance".to_owned(), instance);
    }
    if let Some(hint) = get(resource, RESOURCE_LABELS) {
        add_named(&mut labels, resource, hint);
    }
    labels
}

/// The labels that a record adds to those of its resource; `None` when it says nothing of labels.
fn own_labels(
    record: &LogRecord,
    resource: &[KeyValue],
    defaults: DefaultLabels,
) -> Option<Labels> {
    let attributes = &record.attributes;
    let (of_resource, of_attributes) =
        (get(attributes, RESOURCE_LABELS), get(attributes, ATTRIBUTE_LABELS));
    let has_level = defaults.level && record.severity_number != 0;
    if of_resource.is_none() && of_attributes.is_none() && !has_level {
        return None;
    }
    let mut labels = Labels::new();
    if let Some(hint) = of_resource {
        add_named(&mut labels, resource, hint);
    }
    if let Some(hint) = of_attributes {
        add_named(&mut labels, attributes, hint);
    }
    // A hint that is neither a text nor a list has no place for the level.
    let has_place = of_attributes.is_none_or(|hint| {
        matches!(hint.value, Some(Value::StringValue(_) | Value::ArrayValue(_)))
    });
    if has_level && has_place {
        let level = get(attributes, "level").map(as_text);
        let level = level.or_else(|| added_level(record, defaults).map(str::to_owned));
        labels.extend(level.map(|level| ("level".to_owned(), level)));
    }
    Some(labels)
}

/// The attribute `level` that a record with a severity gets when it has none.
fn added_level(record: &LogRecord, defaults: DefaultLabels) -> Option<&'static str> {
    let is_missing =
        defaults.level && record.severity_number != 0 && get(&record.attributes, "level").is_none();
    is_missing.then(|| {
        let number = usize::try_from(record.severity_number).unwrap_or_default();
        LEVELS.get(number).copied().unwrap_or_default()
    })
}

/// Adds the attributes that a hint names, in a list or between commas.
fn add_named(labels: &mut Labels, attributes: &[KeyValue], hint: &AnyValue) {
    let names: Vec<String> = match &hint.value {
        Some(Value::ArrayValue(list)) => list.values.iter().map(as_text).collect(),
        Some(Value::StringValue(names)) => names.split(',').map(str::to_owned).collect(),
        _ => vec![as_text(hint)],
    };
    for name in names {
        let name = name.trim();
        if let Some(value) = find(attributes, name) {
            labels.insert(name.to_owned(), as_text(value));
        }
    }
}

/// The attribute `name`, or what the dots in `name` lead to in the maps of others.
fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a AnyValue> {
    if let Some(value) = get(attributes, name) {
        return Some(value);
    }
    for (at, _) in name.rmatch_indices('.') {
        if let Some(AnyValue { value: Some(Value::KvlistValue(map)) }) =
            get(attributes, &name[..at])
        {
            return find(&map.values, &name[at + 1..]);
        }
    }
    None
}

fn get<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a AnyValue> {
    static NOTHING: AnyValue = AnyValue { value: None };
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(found.value.as_ref().unwrap_or(&NOTHING))
}

/// The tenant, if a hint says which attribute names it.
fn tenant(attributes: &[KeyValue], resource: &[KeyValue]) -> Option<String> {
    let text = |value: &AnyValue| match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    let hint = get(resource, TENANT).or_else(|| get(attributes, TENANT)).map(text)?;
    let tenant = get(resource, &hint).or_else(|| get(attributes, &hint)).map(text)?;
    (!tenant.is_empty()).then_some(tenant)
}

/// Labels as Loki reads them.
fn label_text(labels: &Labels) -> String {
    let named: BTreeMap<String, &String> =
        labels.iter().map(|(name, value)| (label_name(name), value)).collect();
    let mut text = "{".to_owned();
    for (name, value) in named {
        if text.len() > 1 {
            text += ", ";
        }
        text += &name;
        text += "=\"";
        for c in value.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                c if c.is_ascii_control() => _ = write!(text, "\\x{:02x}", u32::from(c)),
                // As Go quotes it; Loki reads both.
                c if !c.is_ascii() && c.is_whitespace() => {
                    _ = write!(text, "\\u{:04x}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// A name that Loki takes: everything but letters and digits of ASCII becomes `_`, and `key` stands before what may not
/// begin a name.
fn label_name(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(clean).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        format!("key_{name}")
    } else if name.starts_with('_') && !name.starts_with("__") {
        format!("key{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests;

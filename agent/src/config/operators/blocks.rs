//! What parsers have in common: from where, to where, and the time, the severity and the ids that may stand in what they find.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::super::field::{self, Field, Root};
use super::super::layout::{self, Step};
use super::super::section::Section;
use super::super::yaml::{Node, Value};

/// What parsers have in common.
#[derive(Debug, Clone)]
pub struct Parse {
    /// The text.
    pub from: Field,
    /// Where its parts go.
    pub to: Field,
    /// The part that becomes the body, if one does.
    pub body: Option<Field>,
    /// The entry's own time, if the parts hold it.
    pub time: Option<Time>,
    /// How bad its writer says it is, if the parts hold it.
    pub severity: Option<Severity>,
    /// The ids, if the parts hold them.
    pub trace: Option<Trace>,
}

/// Where a time stands, and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Time {
    /// Where.
    pub from: Field,
    /// How.
    pub layout: Layout,
}

/// How a time is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// As these steps say.
    Steps {
        /// The steps.
        steps: Vec<Step>,
        /// The time zone of a time that names none.
        zone: TimeZone,
    },
    /// A number of these since 1970.
    Epoch {
        /// Nanoseconds of one.
        unit_nanos: i64,
        /// Where a second number stands behind a point, the nanoseconds of one of these.
        fraction_nanos: Option<i64>,
    },
}

/// Where a severity stands, and which texts mean which.
#[derive(Debug, Clone, PartialEq)]
pub struct Severity {
    /// Where.
    pub from: Field,
    /// OTLP's number for each text, in lower case.
    pub numbers: Arc<HashMap<String, i32>>,
    /// Whether the severity's own name stands in place of the text.
    pub overwrite_text: bool,
}

/// Where ids stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace's.
    pub trace_id: Field,
    /// The span's.
    pub span_id: Field,
    /// W3C trace flags.
    pub flags: Field,
}

/// What all parsers ask for.
pub(super) fn parse(section: &mut Section<'_>) -> Option<Parse> {
    let from = field_or(section, "parse_from", Field::whole(Root::Body));
    let to = field_or(section, "parse_to", Field::whole(Root::Attributes));
    let body = section.parsed("body", field::EXPECTED, |text, _| Field::parse(text));
    if body.is_some() && to == Field::whole(Root::Body) {
        section.fault("body stands beside parse_to: body; one of them is expected");
    }
    let has = ["timestamp", "severity", "trace"].map(|key| section.has(key));
    let mut block = section.section("timestamp");
    let time = if has[0] { Some(time(&mut block)?) } else { None };
    drop(block);
    let mut block = section.section("severity");
    let severity = if has[1] { Some(severity(&mut block)?) } else { None };
    drop(block);
    let mut block = section.section("trace");
    let trace = has[2].then(|| trace(&mut block));
    Some(Parse { from, to, body, time, severity, trace })
}

pub(super) fn field_or(section: &mut Section<'_>, key: &'static str, default: Field) -> Field {
    section.parsed(key, field::EXPECTED, |text, _| Field::parse(text)).unwrap_or(default)
}

pub(super) fn required_field(section: &mut Section<'_>, key: &'static str) -> Option<Field> {
    section.required(key, field::EXPECTED)?;
    section.parsed(key, field::EXPECTED, |text, _| Field::parse(text))
}

#[derive(Clone, Copy)]
enum LayoutType {
    Strptime,
    Gotime,
    Epoch,
}

pub(super) fn time(section: &mut Section<'_>) -> Option<Time> {
    let from = required_field(section, "parse_from");
    let kinds = [
        ("strptime", LayoutType::Strptime),
        ("gotime", LayoutType::Gotime),
        ("epoch", LayoutType::Epoch),
    ];
    let kind = section.choice("layout_type", &kinds, LayoutType::Strptime);
    let layout = section.required("layout", "how the time is written");
    let location = section.text("location");
    let layout = layout?.text;
    let go = match kind {
        LayoutType::Epoch => {
            if location.is_some() {
                section.fault("location has no effect on times since 1970");
            }
            let epoch = epoch(&layout);
            if epoch.is_none() {
                section.fault(format!(
                    "the layout {layout:?} is not understood; supported are s, ms, us, ns, s.ms, s.us, s.ns"
                ));
            }
            return Some(Time { from: from?, layout: epoch? });
        }
        LayoutType::Gotime => Ok(layout.clone()),
        LayoutType::Strptime => layout::strptime(&layout),
    };
    let go = match go {
        Ok(go) => go,
        Err(what) => {
            section.fault(format!("the layout {layout:?} is not understood: {what}"));
            return None;
        }
    };
    let zone = match location {
        None if go.ends_with('Z') => TimeZone::UTC,
        None => TimeZone::system(),
        Some(name) if name == "Local" => TimeZone::system(),
        Some(name) => match TimeZone::get(&name) {
            Ok(zone) => zone,
            Err(_) => {
                section.fault(format!(
                    "the location {name:?} is not in the machine's table of time zones; one is named like Europe/Berlin"
                ));
                return None;
            }
        },
    };
    Some(Time { from: from?, layout: Layout::Steps { steps: layout::gotime(&go), zone } })
}

fn epoch(layout: &str) -> Option<Layout> {
    let nanos = |unit: &str| match unit {
        "s" => Some(1_000_000_000),
        "ms" => Some(1_000_000),
        "us" => Some(1_000),
        "ns" => Some(1),
        _ => None,
    };
    match layout.split_once('.') {
        None => Some(Layout::Epoch { unit_nanos: nanos(layout)?, fraction_nanos: None }),
        Some(("s", fraction)) if fraction != "s" => {
            Some(Layout::Epoch { unit_nanos: nanos("s")?, fraction_nanos: Some(nanos(fraction)?) })
        }
        Some(_) => None,
    }
}

/// OTLP's severities, from 1 on.
pub(crate) const SEVERITIES: [&str; 24] = [
    "trace", "trace2", "trace3", "trace4", "debug", "debug2", "debug3", "debug4", "info", "info2",
    "info3", "info4", "warn", "warn2", "warn3", "warn4", "error", "error2", "error3", "error4",
    "fatal", "fatal2", "fatal3", "fatal4",
];

#[derive(Clone, Copy, PartialEq)]
enum Preset {
    Default,
    Otel,
    Nothing,
}

pub(super) fn severity(section: &mut Section<'_>) -> Option<Severity> {
    let from = required_field(section, "parse_from");
    let presets = [("default", Preset::Default), ("otel", Preset::Otel), ("none", Preset::Nothing)];
    let preset = section.choice("preset", &presets, Preset::Default);
    let overwrite_text = section.bool("overwrite_text", false);
    let mut numbers = HashMap::new();
    if preset != Preset::Nothing {
        for (number, name) in (1..).zip(SEVERITIES) {
            numbers.insert(name.to_owned(), number);
            numbers.insert(number.to_string(), number);
            let other = match preset {
                Preset::Default if name.starts_with("warn") => name.replace("warn", "warning"),
                Preset::Default if name.starts_with("error") => name.replace("error", "err"),
                _ => continue,
            };
            numbers.insert(other, number);
        }
    }
    if let Some(node) = section.raw("mapping") {
        mapping(section, node, &mut numbers);
    }
    Some(Severity { from: from?, numbers: Arc::new(numbers), overwrite_text })
}

fn mapping(section: &Section<'_>, node: &Node, numbers: &mut HashMap<String, i32>) {
    let Value::Map(entries) = &node.value else {
        let expected = "a map from severities to the values that mean them";
        return section.wrong::<()>("mapping", node, expected).unwrap_or_default();
    };
    for (key, node) in entries {
        let name = key.name.to_lowercase();
        let found =
            (1..).zip(SEVERITIES).find(|(n, known)| *known == name || n.to_string() == name);
        let Some((number, _)) = found else {
            section.fault(format!(
                "{:?} in mapping is no severity; they are trace, debug, info, warn, error, fatal, each also with 2, 3 or 4 behind it",
                key.name
            ));
            continue;
        };
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        for node in nodes {
            match values(node) {
                Some(values) => {
                    numbers.extend(values.into_iter().map(|value| (value, number)));
                }
                None => {
                    let expected = "a text, a whole number, 2xx to 5xx, or min and max of a range";
                    section.wrong::<()>("mapping", node, expected);
                }
            }
        }
    }
}

/// How many numbers a range may have.
const MAX_RANGE: i64 = 10_000;

fn values(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Scalar { text, .. } => Some(match text.as_str() {
            "2xx" => range(200, 299),
            "3xx" => range(300, 399),
            "4xx" => range(400, 499),
            "5xx" => range(500, 599),
            text => vec![text.to_lowercase()],
        }),
        Value::Map(entries) if entries.len() == 2 => {
            let bound = |key| match &node.get(key)?.value {
                Value::Scalar { text, plain: true } => text.parse::<i64>().ok(),
                _ => None,
            };
            let (min, max) = (bound("min")?, bound("max")?);
            let (min, max) = (min.min(max), min.max(max));
            (max.checked_sub(min)? < MAX_RANGE).then(|| range(min, max))
        }
        _ => None,
    }
}

fn range(min: i64, max: i64) -> Vec<String> {
    (min..=max).map(|number| number.to_string()).collect()
}

/// Of `trace_id`, `span_id` and `trace_flags`, each has its field.
pub(super) fn trace(section: &mut Section<'_>) -> Trace {
    let mut field = |key: &'static str| {
        let default = Field { root: Root::Body, keys: vec![key.to_owned()] };
        field_or(&mut section.section(key), "parse_from", default)
    };
    Trace { trace_id: field("trace_id"), span_id: field("span_id"), flags: field("trace_flags") }
}

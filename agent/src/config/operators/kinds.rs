//! The kinds of operators, and what each asks for.

use std::time::Duration;

use regex::Regex;

use super::super::constant;
use super::super::expr::Expr;
use super::super::field::{self, Field, Root};
use super::super::section::Section;
use super::super::yaml::Value;
use super::blocks::{self, parse, required_field};
use super::{Added, Container, Format, OperatorKind, Recombine, condition, output};

/// A kind of operator: its name, and how its settings are read.
pub(in super::super) struct Kind {
    /// The name that the Collector gives it.
    pub(in super::super) name: &'static str,
    /// Reads its settings; `None` when they are faulty, which has then been noted.
    pub(in super::super) read: fn(&mut Section<'_>) -> Option<OperatorKind>,
    /// The least that it needs: from it a test learns its keys.
    #[cfg_attr(not(test), allow(dead_code, reason = "read by the test of the documented tables"))]
    pub(in super::super) sample: &'static str,
}

/// All of them; `spanline_parser` is our own.
pub(in super::super) const KINDS: [Kind; 17] = [
    Kind { name: "add", read: add, sample: "{field: body, value: v}" },
    Kind { name: "container", read: container, sample: "{}" },
    Kind {
        name: "copy",
        read: |section| from_to(section).map(|(from, to)| OperatorKind::Copy { from, to }),
        sample: "{from: body, to: attributes.a}",
    },
    Kind { name: "filter", read: filter, sample: "{expr: 'true'}" },
    Kind { name: "json_parser", read: json_parser, sample: BLOCKS },
    Kind { name: "key_value_parser", read: key_value_parser, sample: BLOCKS },
    Kind {
        name: "move",
        read: |section| from_to(section).map(|(from, to)| OperatorKind::Move { from, to }),
        sample: "{from: body, to: attributes.a}",
    },
    Kind { name: "noop", read: |_| Some(OperatorKind::Noop), sample: "{}" },
    Kind {
        name: "recombine",
        read: recombine,
        sample: "{combine_field: body, is_first_entry: 'true'}",
    },
    Kind {
        name: "regex_parser",
        read: regex_parser,
        sample: "{regex: '(?P<a>b)', timestamp: {parse_from: body, layout: '%F'}, severity: {parse_from: body}, trace: {}}",
    },
    Kind {
        name: "remove",
        read: |section| {
            required_field(section, "field").map(|field| OperatorKind::Remove { field })
        },
        sample: "{field: body}",
    },
    Kind { name: "retain", read: retain, sample: "{fields: [body]}" },
    Kind { name: "router", read: router, sample: "{routes: [{expr: 'true', output: a}]}" },
    Kind {
        name: "severity_parser",
        read: |section| blocks::severity(section).map(OperatorKind::Severity),
        sample: "{parse_from: body}",
    },
    Kind { name: "spanline_parser", read: |_| Some(OperatorKind::Spanline), sample: "{}" },
    Kind {
        name: "time_parser",
        read: |section| blocks::time(section).map(OperatorKind::Time),
        sample: "{parse_from: body, layout: '%F'}",
    },
    Kind {
        name: "trace_parser",
        read: |section| Some(OperatorKind::Trace(blocks::trace(section))),
        sample: "{}",
    },
];

const BLOCKS: &str =
    "{timestamp: {parse_from: body, layout: '%F'}, severity: {parse_from: body}, trace: {}}";

fn add(section: &mut Section<'_>) -> Option<OperatorKind> {
    let field = required_field(section, "field");
    let Some(node) = section.raw("value") else {
        section.fault("value is missing; it is what the field is set to");
        return None;
    };
    let computed = match &node.value {
        Value::Scalar { text, .. } => {
            text.strip_prefix("EXPR(").and_then(|rest| rest.strip_suffix(')'))
        }
        _ => None,
    };
    let value = match computed {
        Some(text) => match Expr::parse(text) {
            Ok(expr) => Some(Added::Computed(expr)),
            Err(what) => {
                section
                    .fault(format!("the expression {text:?} in value is not understood: {what}"));
                None
            }
        },
        None => constant::read(node)
            .map(Added::Constant)
            .or_else(|| section.wrong("value", node, constant::EXPECTED)),
    };
    Some(OperatorKind::Add { field: field?, value: value? })
}

/// What a joined line may have where the configuration does not say.
const MAX_JOINED_BYTES: u64 = 16 * 1024 * 1024;

fn container(section: &mut Section<'_>) -> Option<OperatorKind> {
    let formats = [
        ("docker", Some(Format::Docker)),
        ("crio", Some(Format::Crio)),
        ("containerd", Some(Format::Containerd)),
    ];
    let format = section.choice("format", &formats, None);
    let add_metadata = section.bool("add_metadata_from_filepath", true);
    let max_log_bytes = match section.bytes("max_log_size", 0) {
        0 => MAX_JOINED_BYTES,
        bytes => bytes,
    };
    let from = blocks::field_or(section, "parse_from", Field::whole(Root::Body));
    let max_log_bytes = usize::try_from(max_log_bytes).unwrap_or(usize::MAX);
    Some(OperatorKind::Container(Container { format, add_metadata, max_log_bytes, from }))
}

fn from_to(section: &mut Section<'_>) -> Option<(Field, Field)> {
    let (from, to) = (required_field(section, "from"), required_field(section, "to"));
    Some((from?, to?))
}

fn filter(section: &mut Section<'_>) -> Option<OperatorKind> {
    section.required("expr", "the condition of what is dropped");
    let condition = condition(section, "expr");
    let expected = "a number from 0 to 1";
    let ratio = section.parsed("drop_ratio", expected, |text, _| {
        text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
    });
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1,000")]
    let drop_per_mille = (ratio.unwrap_or(1.0_f64) * 1_000.0) as u16;
    Some(OperatorKind::Filter { condition: condition?, drop_per_mille })
}

fn json_parser(section: &mut Section<'_>) -> Option<OperatorKind> {
    let parse_ints = section.bool("parse_ints", false);
    Some(OperatorKind::Json { parse_ints, parse: parse(section)? })
}

fn key_value_parser(section: &mut Section<'_>) -> Option<OperatorKind> {
    let delimiter = section.text("delimiter").unwrap_or_else(|| "=".to_owned());
    let pair_delimiter = section.text("pair_delimiter").filter(|text| !text.is_empty());
    let pair_delimiter = pair_delimiter.unwrap_or_else(|| " ".to_owned());
    let parse = parse(section);
    if delimiter.is_empty() || delimiter == pair_delimiter {
        section.fault("delimiter must not be empty, and not the same as pair_delimiter");
        return None;
    }
    Some(OperatorKind::KeyValue { delimiter, pair_delimiter, parse: parse? })
}

fn recombine(section: &mut Section<'_>) -> Option<OperatorKind> {
    let field = required_field(section, "combine_field");
    let conditions = ["is_first_entry", "is_last_entry"];
    let [first, last] = conditions.map(|key| (section.has(key), condition(section, key)));
    let with = section.text("combine_with").unwrap_or_else(|| "\n".to_owned());
    let path = Field { root: Root::Attributes, keys: vec!["log.file.path".to_owned()] };
    let source = blocks::field_or(section, "source_identifier", path);
    let overwrite_with = [("oldest", false), ("newest", true)];
    let keep_newest = section.choice("overwrite_with", &overwrite_with, false);
    let mut count =
        |key, default: u64| usize::try_from(section.count(key, default)).unwrap_or(usize::MAX);
    let (max_batch_size, max_unmatched_batch_size, max_sources) = (
        count("max_batch_size", 1_000),
        count("max_unmatched_batch_size", 100),
        count("max_sources", 1_000),
    );
    let max_log_bytes = match section.bytes("max_log_size", 0) {
        0 => MAX_JOINED_BYTES,
        bytes => bytes,
    };
    let force_flush_period = section.duration("force_flush_period", Duration::from_secs(5));
    if max_batch_size == 0 || max_sources == 0 || force_flush_period.is_zero() {
        section.fault("max_batch_size, max_sources and force_flush_period must be more than 0");
        return None;
    }
    let (is_first, condition) = match (first, last) {
        ((true, condition), (false, _)) => (true, condition?),
        ((false, _), (true, condition)) => (false, condition?),
        _ => {
            section.fault("exactly one of is_first_entry and is_last_entry is expected");
            return None;
        }
    };
    Some(OperatorKind::Recombine(Recombine {
        condition,
        is_first,
        field: field?,
        with,
        source,
        max_batch_size,
        max_unmatched_batch_size,
        max_sources,
        max_log_bytes: usize::try_from(max_log_bytes).unwrap_or(usize::MAX),
        force_flush_period,
        keep_newest,
    }))
}

fn regex_parser(section: &mut Section<'_>) -> Option<OperatorKind> {
    let pattern = section.required("regex", "the pattern, whose named groups become fields");
    let regex = pattern.and_then(|pattern| regex(section, "regex", &pattern.text));
    let has_names = |regex: &Regex| regex.capture_names().flatten().next().is_some();
    if regex.as_ref().is_some_and(|regex| !has_names(regex)) {
        section.fault("regex has no named group such as (?P<name>…)");
        return None;
    }
    let cache = section.section("cache").count("size", 0);
    let parse = parse(section);
    let cache = usize::try_from(cache).unwrap_or(usize::MAX);
    Some(OperatorKind::Regex { regex: regex?, cache, parse: parse? })
}

fn retain(section: &mut Section<'_>) -> Option<OperatorKind> {
    let mut fields = Vec::new();
    for text in section.texts("fields") {
        match Field::parse(&text) {
            Some(field) => fields.push(field),
            None => {
                section.fault(format!("{text:?} in fields, where {} is expected", field::EXPECTED))
            }
        }
    }
    if fields.is_empty() {
        section.fault("fields is missing; it is the list of what stays");
        return None;
    }
    Some(OperatorKind::Retain { fields })
}

/// Its routes are read with the names that they lead to.
fn router(section: &mut Section<'_>) -> Option<OperatorKind> {
    if !section.has("routes") {
        section.fault("routes is missing; it is a list of expr and output");
    }
    section.raw("routes");
    section.raw("default");
    Some(OperatorKind::Router { routes: Vec::new() })
}

/// Conditions, and the names that they lead to.
pub(super) fn routes(section: &mut Section<'_>) -> Vec<(Option<Expr>, String)> {
    let mut routes: Vec<_> = section.sections("routes").iter_mut().filter_map(route).collect();
    if let Some(default) = output(section, "default") {
        routes.push((None, default));
    }
    routes
}

fn route(section: &mut Section<'_>) -> Option<(Option<Expr>, String)> {
    section.required("expr", "the condition");
    let condition = condition(section, "expr");
    let output = output(section, "output");
    if !section.has("output") {
        section.fault("output is missing; it is the operator to go on with");
    }
    Some((Some(condition?), output?))
}

fn regex(section: &Section<'_>, key: &str, pattern: &str) -> Option<Regex> {
    Regex::new(pattern)
        .map_err(|error| {
            // The error draws the pattern; its last line says what is wrong.
            let error = error.to_string();
            let error = error.lines().last().unwrap_or_default().trim();
            section.fault(format!("{key} {pattern:?} is no pattern: {error}"));
        })
        .ok()
}

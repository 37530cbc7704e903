//! The operators of `filelog`: what is done with each line, and where it goes from there.

use regex::Regex;

use super::field::{self, Field, Root};
use super::layout::{self, Step};
use super::section::Section;
use super::yaml::{Node, Value};

/// An operator, and what comes after it.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its name in `output` and `routes`.
    pub id: String,
    /// What it does.
    pub kind: OperatorKind,
    /// The number of the next one; `None` after the last.
    pub next: Option<usize>,
    /// What becomes of an entry that it cannot handle.
    pub on_error: OnError,
}

/// What becomes of an entry that an operator cannot handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It goes on as it is.
    Send,
    /// It is dropped and counted.
    Drop,
}

/// What an operator does.
#[derive(Debug, Clone)]
pub enum OperatorKind {
    /// `add`: sets a field.
    Add {
        /// Which.
        field: Field,
        /// To what.
        value: Constant,
    },
    /// `copy`: sets a field to what another one holds.
    Copy {
        /// The other one.
        from: Field,
        /// The one that is set.
        to: Field,
    },
    /// `json_parser`: the keys of an object become fields.
    Json(Parse),
    /// `move`: as `copy`, and the other one is gone.
    Move {
        /// The other one.
        from: Field,
        /// The one that is set.
        to: Field,
    },
    /// `noop`: nothing, for others to name it as their output.
    Noop,
    /// `regex_parser`: the named groups of a pattern become fields.
    Regex {
        /// The pattern.
        regex: Regex,
        /// How many texts it remembers the groups of.
        cache: usize,
        /// From where, to where.
        parse: Parse,
    },
    /// `remove`: takes a field away.
    Remove {
        /// Which.
        field: Field,
    },
    /// `retain`: takes everything else away from the parts of which it names fields.
    Retain {
        /// What stays.
        fields: Vec<Field>,
    },
    /// `router`: the first route whose condition holds; without one the entry is dropped.
    Router {
        /// Conditions, and the operators that they lead to.
        routes: Vec<(Condition, Option<usize>)>,
    },
}

/// What parsers have in common.
#[derive(Debug, Clone)]
pub struct Parse {
    /// The text.
    pub from: Field,
    /// Where its parts go.
    pub to: Field,
    /// The entry's own time, if the parts hold it.
    pub time: Option<Time>,
}

/// Where a time stands, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// Where.
    pub from: Field,
    /// How.
    pub layout: Vec<Step>,
}

/// A value that stands in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A truth value.
    Bool(bool),
}

/// `<field> matches "<pattern>"`: the one kind of condition that is supported.
#[derive(Debug, Clone)]
pub struct Condition {
    /// The field.
    pub field: Field,
    /// The pattern.
    pub regex: Regex,
}

/// What the embedded default has: entries of containers, and our own lines in them.
pub(super) const OWN: [&str; 2] = ["container", "spanline_parser"];

/// Whether the operators are [`OWN`], and nothing but their kinds is said of them.
pub(super) fn is_own(section: &mut Section<'_>) -> bool {
    let kind = |node: &Node| match &node.value {
        Value::Map(entries) if entries.len() == 1 => match &node.get("type")?.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    match section.raw("operators").map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.iter().map(kind).eq(OWN.map(|own| Some(own.to_owned()))),
        _ => false,
    }
}

/// The kinds of operators, beside our own.
pub(super) const KINDS: [&str; 9] =
    ["add", "copy", "json_parser", "move", "noop", "regex_parser", "remove", "retain", "router"];

/// An operator whose outputs are still names.
struct Named {
    id: String,
    has_id: bool,
    kind: Option<OperatorKind>,
    output: Option<String>,
    on_error: OnError,
    routes: Vec<(Condition, String)>,
    path: String,
}

/// Reads the list `operators`; `None` when one has a fault.
pub(super) fn read(section: &mut Section<'_>) -> Option<Vec<Operator>> {
    let mut named: Vec<Named> = section.sections("operators").iter_mut().map(operator).collect();
    number(&mut named);
    let named = named;
    let find = |named: &[Named], from: &str, id: &str| {
        let found = named.iter().position(|operator| operator.id == id);
        if found.is_none() {
            section.findings().fault(
                from,
                section.place(),
                format!("there is no operator {id:?} to go on with"),
            );
        }
        found
    };
    let mut operators = Vec::with_capacity(named.len());
    for (at, operator) in named.iter().enumerate() {
        if named[..at].iter().any(|other| other.id == operator.id) {
            let what =
                format!("a second operator {:?}: give one of them an id of its own", operator.id);
            section.findings().fault(&operator.path, section.place(), what);
        }
        let next = match &operator.output {
            Some(id) => Some(find(&named, &operator.path, id)?),
            None => Some(at + 1).filter(|next| *next < named.len()),
        };
        let kind = match operator.kind.clone()? {
            OperatorKind::Router { .. } => {
                let route = |(condition, id): &(Condition, String)| {
                    Some((condition.clone(), Some(find(&named, &operator.path, id)?)))
                };
                OperatorKind::Router {
                    routes: operator.routes.iter().map(route).collect::<Option<_>>()?,
                }
            }
            kind => kind,
        };
        operators.push(Operator {
            id: operator.id.clone(),
            kind,
            next,
            on_error: operator.on_error,
        });
    }
    if let Some(circle) = circle(&operators) {
        section.fault(format!("operator {circle:?} leads back to itself"));
        return None;
    }
    Some(operators)
}

/// Gives those without an id of their own their kind's name, the later ones with a number.
fn number(named: &mut [Named]) {
    for at in 0..named.len() {
        if named[at].has_id {
            continue;
        }
        let kind = named[at].id.clone();
        let is_taken = |id: &str| {
            named.iter().enumerate().any(|(other, operator)| {
                operator.id == id && (other < at || (operator.has_id && other != at))
            })
        };
        let mut ids = std::iter::once(kind.clone()).chain((1..).map(|n| format!("{kind}{n}")));
        if let Some(id) = ids.find(|id| !is_taken(id)) {
            named[at].id = id;
        }
    }
}

/// An operator from which entries come back to it.
fn circle(operators: &[Operator]) -> Option<&str> {
    let next = |at: usize| {
        let routes = match &operators[at].kind {
            OperatorKind::Router { routes } => routes.as_slice(),
            _ => &[],
        };
        let routes = routes.iter().filter_map(|(_, next)| *next);
        routes.chain(
            operators[at]
                .next
                .filter(|_| !matches!(operators[at].kind, OperatorKind::Router { .. })),
        )
    };
    let comes_back = |start: usize| {
        let (mut seen, mut todo) = (vec![false; operators.len()], next(start).collect::<Vec<_>>());
        while let Some(at) = todo.pop() {
            if at == start {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                todo.extend(next(at));
            }
        }
        false
    };
    (0..operators.len()).find(|start| comes_back(*start)).map(|start| operators[start].id.as_str())
}

fn operator(section: &mut Section<'_>) -> Named {
    let kind =
        section.required("type", "the operator's kind").map(|kind| kind.text).unwrap_or_default();
    let (id, has_id) = match section.text("id") {
        Some(id) => (id, true),
        None => (kind.clone(), false),
    };
    let mut routes = Vec::new();
    let settings = match kind.as_str() {
        "add" => add(section),
        "copy" => from_to(section).map(|(from, to)| OperatorKind::Copy { from, to }),
        "json_parser" => parse(section).map(OperatorKind::Json),
        "move" => from_to(section).map(|(from, to)| OperatorKind::Move { from, to }),
        "noop" => Some(OperatorKind::Noop),
        "regex_parser" => regex_parser(section),
        "remove" => required_field(section, "field").map(|field| OperatorKind::Remove { field }),
        "retain" => retain(section),
        "router" => {
            routes = section.sections("routes").iter_mut().filter_map(route).collect();
            if !section.has("routes") {
                section.fault("routes is missing; it is a list of expr and output");
            }
            Some(OperatorKind::Router { routes: Vec::new() })
        }
        "" => None,
        kind => {
            section.fault(format!("the operator {kind:?} is not supported; supported are {}, or container and spanline_parser together and alone", KINDS.join(", ")));
            // Its keys are nobody's.
            section.ask_for_all();
            None
        }
    };
    let output = if kind == "router" { None } else { section.text("output") };
    let choices = [("send", OnError::Send), ("drop", OnError::Drop)];
    let on_error = section.choice("on_error", &choices, OnError::Send);
    Named { id, has_id, kind: settings, output, on_error, routes, path: section.path().to_owned() }
}

fn add(section: &mut Section<'_>) -> Option<OperatorKind> {
    let field = required_field(section, "field");
    let Some(node) = section.raw("value") else {
        section.fault("value is missing; it is what the field is set to");
        return None;
    };
    let value =
        constant(node).or_else(|| section.wrong("value", node, "a text, a number or a boolean"));
    Some(OperatorKind::Add { field: field?, value: value? })
}

/// A scalar of the type that it has in YAML; `EXPR(…)` is computed by the Collector, and here by nobody.
pub(super) fn constant(node: &Node) -> Option<Constant> {
    let Value::Scalar { text, plain } = &node.value else { return None };
    if text.starts_with("EXPR(") {
        return None;
    }
    if *plain {
        if let Some(truth) = super::section::boolean(text, true) {
            return Some(Constant::Bool(truth));
        }
        if let Ok(number) = text.parse() {
            return Some(Constant::Int(number));
        }
        let is_number =
            text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
        if let (true, Ok(number)) = (is_number, text.parse()) {
            return Some(Constant::Float(number));
        }
    }
    Some(Constant::Text(text.clone()))
}

fn from_to(section: &mut Section<'_>) -> Option<(Field, Field)> {
    let (from, to) = (required_field(section, "from"), required_field(section, "to"));
    Some((from?, to?))
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

fn parse(section: &mut Section<'_>) -> Option<Parse> {
    let field = |section: &mut Section<'_>, key, default: Root| {
        let parsed = section.parsed(key, field::EXPECTED, |text, _| Field::parse(text));
        parsed.unwrap_or_else(|| Field::whole(default))
    };
    let from = field(section, "parse_from", Root::Body);
    let to = field(section, "parse_to", Root::Attributes);
    let has_time = section.has("timestamp");
    let mut timestamp = section.section("timestamp");
    let time = if has_time { Some(time(&mut timestamp)?) } else { None };
    Some(Parse { from, to, time })
}

fn time(section: &mut Section<'_>) -> Option<Time> {
    let from = required_field(section, "parse_from");
    let gotime = section.choice("layout_type", &[("strptime", false), ("gotime", true)], false);
    let layout = section.required("layout", "how the time is written")?.text;
    let steps = if gotime { Ok(layout::gotime(&layout)) } else { layout::strptime(&layout) };
    match steps {
        Ok(layout) => Some(Time { from: from?, layout }),
        Err(what) => {
            section.fault(format!("the layout {layout:?} is not understood: {what}"));
            None
        }
    }
}

fn route(section: &mut Section<'_>) -> Option<(Condition, String)> {
    let expr = section.required("expr", "the condition");
    let output = section.required("output", "the operator to go on with");
    let expr = expr?.text;
    let condition = condition(&expr);
    if condition.is_none() {
        section.fault(format!(
            "the condition {expr:?} is not supported; supported is <field> matches \"<pattern>\""
        ));
    }
    Some((condition?, output?.text))
}

fn condition(text: &str) -> Option<Condition> {
    let (field, pattern) = text.split_once(" matches ")?;
    let field = Field::parse(field.trim())?;
    let pattern = pattern.trim();
    let pattern = match pattern.as_bytes() {
        [b'"', .., b'"'] => serde_json::from_str(pattern).ok()?,
        [b'`', inner @ .., b'`'] if !inner.contains(&b'`') => {
            pattern[1..pattern.len() - 1].to_owned()
        }
        _ => return None,
    };
    Some(Condition { field, regex: Regex::new(&pattern).ok()? })
}

fn required_field(section: &mut Section<'_>, key: &'static str) -> Option<Field> {
    section.required(key, field::EXPECTED)?;
    section.parsed(key, field::EXPECTED, |text, _| Field::parse(text))
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

/// Compared by what they do; a pattern is its text.
impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

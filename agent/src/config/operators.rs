//! The operators of `filelog`: what is done with each line, and where it goes from there.

pub(crate) mod blocks;
mod graph;
mod kinds;

use std::time::Duration;

use regex::Regex;

use super::constant::Constant;
use super::expr::Expr;
use super::field::Field;
use super::section::Section;
use super::yaml::{Node, Value};

pub use self::blocks::{Layout, Parse, Severity, Time, Trace};
pub(super) use self::kinds::KINDS;

/// An operator, and what comes after it.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its name in `output` and `routes`.
    pub id: String,
    /// What it does.
    pub kind: OperatorKind,
    /// Which entries it handles; the others go by. Without it, all.
    pub condition: Option<Expr>,
    /// The number of the next one; `None` after the last.
    pub next: Option<usize>,
    /// What becomes of an entry that it cannot handle.
    pub on_error: OnError,
}

/// What becomes of an entry that an operator cannot handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnError {
    /// Whether it is dropped and counted; else it goes on as it is.
    pub drop: bool,
    /// Whether nothing is said of it.
    pub quiet: bool,
}

/// What an operator does.
#[derive(Debug, Clone)]
pub enum OperatorKind {
    /// `add`: sets a field.
    Add {
        /// Which.
        field: Field,
        /// To what.
        value: Added,
    },
    /// `container`: the entries of container runtimes, split lines joined.
    Container(Container),
    /// `copy`: sets a field to what another one holds.
    Copy {
        /// The other one.
        from: Field,
        /// The one that is set.
        to: Field,
    },
    /// `filter`: drops entries.
    Filter {
        /// Which.
        condition: Expr,
        /// How many of a thousand of these.
        drop_per_mille: u16,
    },
    /// `json_parser`: the keys of an object become fields.
    Json {
        /// Whether whole numbers stay whole.
        parse_ints: bool,
        /// From where, to where.
        parse: Parse,
    },
    /// `key_value_parser`: `a=1 b=2` becomes fields.
    KeyValue {
        /// What stands between a key and its value.
        delimiter: String,
        /// What stands between pairs.
        pair_delimiter: String,
        /// From where, to where.
        parse: Parse,
    },
    /// `move`: as `copy`, and the other one is gone.
    Move {
        /// The other one.
        from: Field,
        /// The one that is set.
        to: Field,
    },
    /// `noop`: nothing, for others to name it as their output.
    Noop,
    /// `recombine`: one entry of several.
    Recombine(Recombine),
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
        /// Conditions (`None` always holds), and the operators that they lead to.
        routes: Vec<(Option<Expr>, Option<usize>)>,
    },
    /// `severity_parser`: sets the severity.
    Severity(Severity),
    /// `spanline_parser`: the ids, the severity and the service that a line of any of our formats names.
    Spanline,
    /// `time_parser`: sets the time.
    Time(Time),
    /// `trace_parser`: sets the ids.
    Trace(Trace),
}

/// What `add` sets a field to.
#[derive(Debug, Clone)]
pub enum Added {
    /// What stands there.
    Constant(Constant),
    /// `EXPR(…)`: what an expression makes of the entry.
    Computed(Expr),
}

/// The `container` operator.
#[derive(Debug, Clone)]
pub struct Container {
    /// Which runtime wrote the entries; `None` when each tells.
    pub format: Option<Format>,
    /// Whether the file's path gives the resource its pod.
    pub add_metadata: bool,
    /// Longest line that parts are joined to, in bytes; what is longer goes on in parts.
    pub max_log_bytes: usize,
    /// The entry's text.
    pub from: Field,
}

/// How a container runtime writes entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON objects.
    Docker,
    /// `<time with an offset> <stream> <tag> <text>`.
    Crio,
    /// The same, with the time in UTC.
    Containerd,
}

/// The `recombine` operator.
#[derive(Debug, Clone)]
pub struct Recombine {
    /// Holds for the first, or the last, of the entries that become one.
    pub condition: Expr,
    /// Whether it is the first.
    pub is_first: bool,
    /// The field whose texts are put together.
    pub field: Field,
    /// What stands between them.
    pub with: String,
    /// What tells entries of one writer from those of another.
    pub source: Field,
    /// Most entries of one.
    pub max_batch_size: usize,
    /// Most entries of one while the condition has held for none; 0 for no limit.
    pub max_unmatched_batch_size: usize,
    /// Most writers at a time.
    pub max_sources: usize,
    /// Bytes after which no more is added.
    pub max_log_bytes: usize,
    /// How long the first may wait for the others.
    pub force_flush_period: Duration,
    /// Whether all but the field is the newest entry's; else the oldest's.
    pub keep_newest: bool,
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

/// An operator whose outputs are still names.
struct Named {
    id: String,
    has_id: bool,
    kind: Option<OperatorKind>,
    condition: Option<Expr>,
    output: Option<String>,
    on_error: OnError,
    routes: Vec<(Option<Expr>, String)>,
    path: String,
}

/// Reads the list `operators`; `None` when one has a fault.
pub(super) fn read(section: &mut Section<'_>) -> Option<Vec<Operator>> {
    let mut named: Vec<Named> = section.sections("operators").iter_mut().map(operator).collect();
    graph::number(&mut named);
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
                let route = |(condition, id): &(Option<Expr>, String)| {
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
            condition: operator.condition.clone(),
            next,
            on_error: operator.on_error,
        });
    }
    if let Some(circle) = graph::circle(&operators) {
        section.fault(format!("operator {circle:?} leads back to itself"));
        return None;
    }
    Some(operators)
}

/// One operator of the list.
fn operator(section: &mut Section<'_>) -> Named {
    let kind =
        section.required("type", "the operator's kind").map(|kind| kind.text).unwrap_or_default();
    let (id, has_id) = match section.text("id") {
        Some(id) => (id, true),
        None => (kind.clone(), false),
    };
    let known = KINDS.iter().find(|known| known.name == kind);
    let mut settings = known.and_then(|known| (known.read)(section));
    if known.is_none() && !kind.is_empty() {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        section.fault(format!(
            "the operator {kind:?} is not supported; supported are {}",
            names.join(", ")
        ));
        // Its keys are nobody's.
        section.ask_for_all();
    }
    let routes = if kind == "router" { kinds::routes(section) } else { Vec::new() };
    let is_router = kind == "router";
    let condition = if is_router { None } else { condition(section, "if") };
    if section.has("if") && !is_router && condition.is_none() {
        settings = None;
    }
    let output = if is_router { None } else { output(section, "output") };
    let on_error = |drop, quiet| OnError { drop, quiet };
    let choices = [
        ("send", on_error(false, false)),
        ("drop", on_error(true, false)),
        ("send_quiet", on_error(false, true)),
        ("drop_quiet", on_error(true, true)),
    ];
    let on_error = if is_router {
        on_error(false, true)
    } else {
        section.choice("on_error", &choices, on_error(false, false))
    };
    let path = section.path().to_owned();
    Named { id, has_id, kind: settings, condition, output, on_error, routes, path }
}

/// The id of an operator to go on with, or a list of one.
fn output(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let node = section.raw(key)?;
    let one = match &node.value {
        Value::List(nodes) if nodes.len() == 1 => &nodes[0],
        _ => node,
    };
    match &one.value {
        Value::Scalar { text, .. } => Some(text.clone()),
        _ => section.wrong(key, node, "the id of one operator"),
    }
}

/// A condition, if there is one.
fn condition(section: &mut Section<'_>, key: &'static str) -> Option<Expr> {
    let text = section.text(key)?;
    Expr::condition(&text)
        .map_err(|what| {
            section.fault(format!("the condition {text:?} in {key} is not understood: {what}"));
        })
        .ok()
}

/// Compared by what they do; a pattern is its text.
impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

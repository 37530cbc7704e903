//! The subset of PromQL that the read API answers, and its evaluation over the store.
//!
//! ```text
//! expr      = term { ("+" | "-") term } ; term = factor { ("*" | "/") factor }
//! factor    = number | "-" factor | "(" expr ")" | selector | function | aggregate
//! selector  = [ name ] [ "{" matcher { "," matcher } "}" ] ; matcher = label ("=" | "!=" | "=~" | "!~") string
//! function  = ("rate" | "increase") "(" selector "[" duration "]" ")" | "histogram_quantile" "(" number "," expr ")"
//! aggregate = ("sum" | "avg" | "min" | "max" | "count") [ ("by" | "without") "(" labels ")" ] "(" expr ")"
//! ```
//!
//! Two vectors are joined where all of their labels are the same. Values are Prometheus's: the newest sample of the last five
//! minutes, rates extrapolated to the ends of their range, resets of counters recognised by a smaller value.

mod evaluate;
mod functions;
mod parse;

use std::collections::BTreeMap;

pub(super) use evaluate::{Range, evaluate};
pub(super) use parse::{ParseError, duration_nanos, parse, parse_selector};

use crate::store::Matcher;

/// How long a sample counts as the newest: Prometheus's default.
pub(super) const LOOKBACK_NANOS: i64 = 5 * 60 * 1_000_000_000;

/// Labels of a series, the name as `__name__` among them.
pub(super) type Labels = BTreeMap<String, String>;

/// A series' values at the steps of a range; `None` where it has none.
pub(super) type Values = Vec<Option<f64>>;

/// A query.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    Number(f64),
    Vector(Vec<Matcher>),
    Rate { matchers: Vec<Matcher>, range_nanos: i64, per_second: bool },
    Quantile { quantile: f64, of: Box<Expr> },
    Aggregate { how: Aggregation, grouping: Grouping, of: Box<Expr> },
    Binary { operator: Arithmetic, left: Box<Expr>, right: Box<Expr> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregation {
    Sum,
    Average,
    Min,
    Max,
    Count,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// What a query is at the steps of a range.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// A number at each step.
    Scalar(Vec<f64>),
    /// Series, each with a value at some of the steps.
    Vector(Vec<(Labels, Values)>),
}

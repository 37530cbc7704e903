//! Expressions over a log entry: a subset of the language that the Collector uses (expr-lang), with its names, its precedence and its
//! idea of which values are equal.
//!
//! `body`, `$`, `attributes` and `resource` with `.key`, `?.key` and `["key"]`; texts, numbers, `true`, `false`, `nil`, lists;
//! `not`, `and`, `or`, `==`, `<`, `in`, `matches`, `contains`, `startsWith`, `endsWith`, `+ - * / %`, `??`, `? :`; `len`, `int`,
//! `float`, `string`, `lower`, `upper`, `trim`. Everything that it can make is no larger than the entry and the expression are, and it
//! has no loops, so a hostile line costs no more than reading it.

mod parse;
mod token;

use regex::Regex;

use super::field::Field;

/// An expression, read and checked.
#[derive(Debug, Clone)]
pub struct Expr {
    /// How the configuration writes it.
    pub text: String,
    /// What it computes.
    pub node: Node,
}

/// A part of an expression.
#[derive(Debug, Clone)]
pub enum Node {
    /// A value that stands there.
    Literal(Literal),
    /// A field of the entry; `nil` when its last key is missing.
    Field(Field),
    /// What another value holds under a key: a text in a map, a number in a list.
    Member {
        /// The value.
        of: Box<Node>,
        /// The key.
        key: Box<Node>,
        /// Whether `nil` has no member, in place of a fault.
        optional: bool,
    },
    /// `[a, b]`
    List(Vec<Node>),
    /// `not a`
    Not(Box<Node>),
    /// `-a`
    Negative(Box<Node>),
    /// `a and b`
    And(Box<(Node, Node)>),
    /// `a or b`
    Or(Box<(Node, Node)>),
    /// `a ?? b`: the second where the first is `nil`.
    Else(Box<(Node, Node)>),
    /// `a ? b : c`
    Choice(Box<(Node, Node, Node)>),
    /// Two values compared or computed with.
    Binary(Operation, Box<(Node, Node)>),
    /// `a matches "…"`, whose pattern is known.
    Matches(Box<Node>, Regex),
    /// A function of one value.
    Call(Function, Box<Node>),
}

/// A value that stands in an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `nil`
    Nil,
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
}

/// What is done with two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the operators' own")]
pub enum Operation {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the functions' own")]
pub enum Function {
    Len,
    Int,
    Float,
    Text,
    Lower,
    Upper,
    Trim,
}

/// What a value may be, as far as it can be told before there is an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Bool,
    Number,
    Text,
    Other,
}

impl Expr {
    /// Reads an expression of any kind.
    ///
    /// # Errors
    /// What is wrong with it, for the one who wrote it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), node: parse::parse(text)? })
    }

    /// Reads a condition: what can be nothing but true or false.
    ///
    /// # Errors
    /// What is wrong with it, for the one who wrote it.
    pub(crate) fn condition(text: &str) -> Result<Self, String> {
        let expr = Self::parse(text)?;
        match expr.node.kind() {
            Kind::Any | Kind::Bool => Ok(expr),
            _ => Err("it is neither true nor false".to_owned()),
        }
    }
}

impl Node {
    fn kind(&self) -> Kind {
        match self {
            Self::Literal(Literal::Bool(_)) => Kind::Bool,
            Self::Literal(Literal::Int(_) | Literal::Float(_)) | Self::Negative(_) => Kind::Number,
            Self::Literal(Literal::Text(_)) => Kind::Text,
            Self::Literal(Literal::Nil) | Self::List(_) => Kind::Other,
            Self::Field(_) | Self::Member { .. } | Self::Else(_) | Self::Choice(_) => Kind::Any,
            Self::Not(_) | Self::And(_) | Self::Or(_) | Self::Matches(..) => Kind::Bool,
            Self::Binary(operation, both) => match operation {
                Operation::Add => match (both.0.kind(), both.1.kind()) {
                    (Kind::Text, _) | (_, Kind::Text) => Kind::Text,
                    (Kind::Number, _) | (_, Kind::Number) => Kind::Number,
                    _ => Kind::Any,
                },
                Operation::Subtract
                | Operation::Multiply
                | Operation::Divide
                | Operation::Remainder => Kind::Number,
                _ => Kind::Bool,
            },
            Self::Call(Function::Len | Function::Int | Function::Float, _) => Kind::Number,
            Self::Call(..) => Kind::Text,
        }
    }
}

//! Values that stand in the configuration.

use super::section::boolean;
use super::yaml::{Node, Value};

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
    /// Several values.
    List(Vec<Constant>),
    /// Values by name.
    Map(Vec<(String, Constant)>),
}

/// What a constant looks like, for faults.
pub(super) const EXPECTED: &str = "a text, a number, a boolean, or a list or map of these";

/// A value of the type that it has in YAML; `null` is none.
pub(super) fn read(node: &Node) -> Option<Constant> {
    let (text, plain) = match &node.value {
        Value::Null => return None,
        Value::List(nodes) => {
            return nodes.iter().map(read).collect::<Option<_>>().map(Constant::List);
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| Some((key.name.clone(), read(node)?)));
            return entries.collect::<Option<_>>().map(Constant::Map);
        }
        Value::Scalar { text, plain } => (text, *plain),
    };
    if plain {
        if let Some(truth) = boolean(text, true) {
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

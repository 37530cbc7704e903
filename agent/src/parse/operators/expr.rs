//! Expressions, computed over an entry. What cannot be computed (a text compared by `<` with a number, the member of nothing) is
//! [`Unfit`], as it is an error in the Collector.

use std::borrow::Cow;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};

use super::Unfit;
use super::entry::{Entry, map_value};
use crate::config::{Expr, ExprNode as Node, Function, Literal, Operation, Root};
use crate::record::Body;

/// Longest text that an expression may put together.
const MAX_TEXT_BYTES: usize = 4 * 1024 * 1024;

/// A value, mostly a part of the entry.
#[derive(Debug, Clone)]
enum Value<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(&'a [AnyValue]),
    Made(Vec<Value<'a>>),
    Map(&'a [KeyValue]),
}

/// Whether a condition holds for an entry.
pub(super) fn holds(expr: &Expr, entry: &Entry) -> Result<bool, Unfit> {
    truth(evaluate(&expr.node, entry)?)
}

/// What an expression makes of an entry.
pub(super) fn value(expr: &Expr, entry: &Entry) -> Result<AnyValue, Unfit> {
    Ok(evaluate(&expr.node, entry)?.into_otlp())
}

fn evaluate<'a>(node: &'a Node, entry: &'a Entry) -> Result<Value<'a>, Unfit> {
    Ok(match node {
        Node::Literal(literal) => match literal {
            Literal::Nil => Value::Nil,
            Literal::Bool(truth) => Value::Bool(*truth),
            Literal::Int(number) => Value::Int(*number),
            Literal::Float(number) => Value::Float(*number),
            Literal::Text(text) => Value::Text(Cow::Borrowed(text)),
        },
        Node::Field(field) => {
            let (last, path) = match field.keys.split_last() {
                None => return Ok(whole(field.root, entry)),
                Some(keys) => keys,
            };
            let mut value = whole(field.root, entry);
            for key in path {
                value = value.member(key)?;
            }
            value.member(last)?
        }
        Node::Member { of, key, optional } => match (evaluate(of, entry)?, evaluate(key, entry)?) {
            (Value::Nil, _) if *optional => Value::Nil,
            (of, Value::Text(key)) => of.member(&key)?,
            (Value::List(list), Value::Int(at)) => {
                Value::of(index(list.len(), at).and_then(|at| list.get(at)).ok_or(Unfit)?)
            }
            (Value::Made(list), Value::Int(at)) => {
                index(list.len(), at).and_then(|at| list.get(at)).ok_or(Unfit)?.clone()
            }
            _ => return Err(Unfit),
        },
        Node::List(nodes) => {
            Value::Made(nodes.iter().map(|node| evaluate(node, entry)).collect::<Result<_, _>>()?)
        }
        Node::Not(node) => Value::Bool(!truth(evaluate(node, entry)?)?),
        Node::Negative(node) => match evaluate(node, entry)? {
            Value::Int(number) => Value::Int(number.wrapping_neg()),
            Value::Float(number) => Value::Float(-number),
            _ => return Err(Unfit),
        },
        Node::And(both) => {
            Value::Bool(truth(evaluate(&both.0, entry)?)? && truth(evaluate(&both.1, entry)?)?)
        }
        Node::Or(both) => {
            Value::Bool(truth(evaluate(&both.0, entry)?)? || truth(evaluate(&both.1, entry)?)?)
        }
        Node::Else(both) => match evaluate(&both.0, entry)? {
            Value::Nil => evaluate(&both.1, entry)?,
            value => value,
        },
        Node::Choice(three) => {
            let (condition, yes, no) = &**three;
            evaluate(if truth(evaluate(condition, entry)?)? { yes } else { no }, entry)?
        }
        Node::Matches(node, regex) => match evaluate(node, entry)? {
            Value::Text(text) => Value::Bool(regex.is_match(&text)),
            _ => return Err(Unfit),
        },
        Node::Binary(operation, both) => {
            binary(*operation, evaluate(&both.0, entry)?, evaluate(&both.1, entry)?)?
        }
        Node::Call(function, node) => call(*function, evaluate(node, entry)?)?,
    })
}

fn truth(value: Value<'_>) -> Result<bool, Unfit> {
    match value {
        Value::Bool(truth) => Ok(truth),
        _ => Err(Unfit),
    }
}

fn whole(root: Root, entry: &Entry) -> Value<'_> {
    match (root, &entry.record.body) {
        (Root::Attributes, _) => Value::Map(&entry.record.attributes),
        (Root::Resource, _) => Value::Map(&entry.resource),
        (Root::Body, Body::Text(text)) => Value::Text(Cow::Borrowed(text.as_str())),
        (Root::Body, Body::Value(value)) => Value::of(value),
    }
}

/// A place in a list; a negative one counts from its end.
fn index(len: usize, at: i64) -> Option<usize> {
    match usize::try_from(at) {
        Ok(at) => Some(at),
        Err(_) => len.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

fn binary<'a>(operation: Operation, left: Value<'a>, right: Value<'a>) -> Result<Value<'a>, Unfit> {
    use Operation::*;
    Ok(match operation {
        Equal => Value::Bool(left.equals(&right)),
        Unequal => Value::Bool(!left.equals(&right)),
        Less | LessOrEqual | Greater | GreaterOrEqual => {
            let order = match (&left, &right) {
                (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
                (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
                (left, right) => left.number()?.partial_cmp(&right.number()?),
            };
            Value::Bool(order.is_some_and(|order| match operation {
                Less => order.is_lt(),
                LessOrEqual => order.is_le(),
                Greater => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        In => Value::Bool(match (&left, &right) {
            (Value::Text(key), Value::Map(map)) => map.iter().any(|pair| pair.key == **key),
            (left, Value::List(list)) => list.iter().any(|item| left.equals(&Value::of(item))),
            (left, Value::Made(list)) => list.iter().any(|item| left.equals(item)),
            (_, Value::Nil) => false,
            _ => return Err(Unfit),
        }),
        Contains | StartsWith | EndsWith => {
            let (Value::Text(left), Value::Text(right)) = (&left, &right) else {
                return Err(Unfit);
            };
            Value::Bool(match operation {
                Contains => memchr::memmem::find(left.as_bytes(), right.as_bytes()).is_some(),
                StartsWith => left.starts_with(&**right),
                _ => left.ends_with(&**right),
            })
        }
        Add => match (left, right) {
            (Value::Text(left), Value::Text(right)) => {
                if left.len() + right.len() > MAX_TEXT_BYTES {
                    return Err(Unfit);
                }
                Value::Text(Cow::Owned(left.into_owned() + &right))
            }
            (Value::Int(left), Value::Int(right)) => Value::Int(left.wrapping_add(right)),
            (left, right) => Value::Float(left.number()? + right.number()?),
        },
        Subtract => match (left, right) {
            (Value::Int(left), Value::Int(right)) => Value::Int(left.wrapping_sub(right)),
            (left, right) => Value::Float(left.number()? - right.number()?),
        },
        Multiply => match (left, right) {
            (Value::Int(left), Value::Int(right)) => Value::Int(left.wrapping_mul(right)),
            (left, right) => Value::Float(left.number()? * right.number()?),
        },
        // As in expr-lang, also of whole numbers.
        Divide => Value::Float(left.number()? / right.number()?),
        Remainder => match (left, right) {
            (Value::Int(left), Value::Int(right)) => {
                Value::Int(left.checked_rem(right).ok_or(Unfit)?)
            }
            _ => return Err(Unfit),
        },
    })
}

fn call(function: Function, of: Value<'_>) -> Result<Value<'_>, Unfit> {
    Ok(match (function, of) {
        (Function::Len, Value::Text(text)) => count(text.chars().count()),
        (Function::Len, Value::List(list)) => count(list.len()),
        (Function::Len, Value::Made(list)) => count(list.len()),
        (Function::Len, Value::Map(map)) => count(map.len()),
        (Function::Int, Value::Int(number)) => Value::Int(number),
        #[expect(clippy::cast_possible_truncation, reason = "an integer is what was asked for")]
        (Function::Int, Value::Float(number)) => Value::Int(number as i64),
        (Function::Int, Value::Text(text)) => Value::Int(text.parse().map_err(|_| Unfit)?),
        (Function::Float, Value::Text(text)) => Value::Float(text.parse().map_err(|_| Unfit)?),
        (Function::Float, number) => Value::Float(number.number()?),
        (Function::Text, Value::Text(text)) => Value::Text(text),
        (Function::Text, value) => {
            Value::Text(Cow::Owned(crate::record::value_text(&value.into_otlp())))
        }
        (Function::Lower, Value::Text(text)) => Value::Text(Cow::Owned(text.to_lowercase())),
        (Function::Upper, Value::Text(text)) => Value::Text(Cow::Owned(text.to_uppercase())),
        (Function::Trim, Value::Text(Cow::Borrowed(text))) => {
            Value::Text(Cow::Borrowed(text.trim()))
        }
        (Function::Trim, Value::Text(text)) => Value::Text(Cow::Owned(text.trim().to_owned())),
        _ => return Err(Unfit),
    })
}

fn count<'a>(len: usize) -> Value<'a> {
    Value::Int(i64::try_from(len).unwrap_or(i64::MAX))
}

impl<'a> Value<'a> {
    fn of(value: &'a AnyValue) -> Self {
        match &value.value {
            None | Some(Otlp::StringValueStrindex(_) | Otlp::BytesValue(_)) => Self::Nil,
            Some(Otlp::StringValue(text)) => Self::Text(Cow::Borrowed(text)),
            Some(Otlp::BoolValue(truth)) => Self::Bool(*truth),
            Some(Otlp::IntValue(number)) => Self::Int(*number),
            Some(Otlp::DoubleValue(number)) => Self::Float(*number),
            Some(Otlp::ArrayValue(list)) => Self::List(&list.values),
            Some(Otlp::KvlistValue(map)) => Self::Map(&map.values),
        }
    }

    fn into_otlp(self) -> AnyValue {
        let value = match self {
            Self::Nil => return AnyValue::default(),
            Self::Bool(truth) => Otlp::BoolValue(truth),
            Self::Int(number) => Otlp::IntValue(number),
            Self::Float(number) => Otlp::DoubleValue(number),
            Self::Text(text) => Otlp::StringValue(text.into_owned()),
            Self::List(list) => Otlp::ArrayValue(ArrayValue { values: list.to_vec() }),
            Self::Made(list) => Otlp::ArrayValue(ArrayValue {
                values: list.into_iter().map(Self::into_otlp).collect(),
            }),
            Self::Map(map) => return map_value(map.to_vec()),
        };
        AnyValue { value: Some(value) }
    }

    fn member(self, key: &str) -> Result<Self, Unfit> {
        match self {
            Self::Map(map) => {
                let found = map.iter().find(|pair| pair.key == key);
                Ok(found.and_then(|pair| pair.value.as_ref()).map_or(Self::Nil, Self::of))
            }
            _ => Err(Unfit),
        }
    }

    fn number(&self) -> Result<f64, Unfit> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as expr-lang compares them")]
            Self::Int(number) => Ok(*number as f64),
            Self::Float(number) => Ok(*number),
            _ => Err(Unfit),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => left == right,
            (Self::Map(left), Self::Map(right)) => left == right,
            (Self::Made(left), Self::Made(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.equals(b))
            }
            (Self::Int(_) | Self::Float(_), Self::Int(_) | Self::Float(_)) => {
                self.number().ok() == other.number().ok()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{LogRecord, text_attribute};

    fn entry() -> Entry {
        let map = map_value(vec![text_attribute("b", "deep")]);
        let list = AnyValue {
            value: Some(Otlp::ArrayValue(ArrayValue { values: vec![Value::Int(4).into_otlp()] })),
        };
        let attribute = |key: &str, value| KeyValue {
            key: key.to_owned(),
            value: Some(value),
            ..KeyValue::default()
        };
        let record = LogRecord {
            time_unix_nano: 0,
            observed_time_unix_nano: 0,
            severity_number: 0,
            severity_text: String::new(),
            body: Body::Text("hello world".to_owned().into()),
            attributes: vec![
                text_attribute("a.b", "x"),
                attribute("m", map),
                attribute("l", list),
                attribute("n", Value::Int(7).into_otlp()),
                attribute("f", Value::Float(7.0).into_otlp()),
            ],
            trace_id: None,
            span_id: None,
            flags: 0,
        };
        Entry {
            record,
            resource: vec![text_attribute("pod", "web")],
            line: 1,
            raw: None,
            trims_end: true,
        }
    }

    fn run(text: &str) -> Result<bool, Unfit> {
        let expr = Expr::condition(text).unwrap_or_else(|what| panic!("{text}: {what}"));
        holds(&expr, &entry())
    }

    #[test]
    fn what_holds_in_the_collector_holds_here() {
        for text in [
            "body matches \"^h\"",
            "$ == 'hello world'",
            "body not matches '^w' and not (body contains \"z\")",
            "attributes[\"a.b\"] == \"x\" && resource.pod startsWith 'w'",
            "attributes.m.b endsWith 'p'",
            "attributes.n == 7.0 and attributes.f == 7 and attributes.n >= 7",
            "attributes.n + 1 == 8 and attributes.n / 2 == 3.5 and attributes.n % 4 == 3",
            "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9 and -attributes.n < 0",
            "attributes.missing == nil and attributes.missing != 'x'",
            "attributes.missing?.x == nil",
            "(attributes.missing ?? 'd') == 'd'",
            "attributes.n in [5, 6, 7] and 4 in attributes.l and attributes.l[0] == 4 and attributes.l[-1] == 4",
            "'pod' in resource and 'x' not in resource",
            "len(body) == 11 and len(attributes.l) == 1 and upper(resource.pod) == 'WEB'",
            "int('12') == 12 and float('1.5') == 1.5 and string(12) == '12' and trim(' a ') == 'a'",
            "false or true and true",
            "attributes.n > 5 ? true : false",
            "'\\u0041\\n' == \"A\\n\" and `\\d` == '\\\\d'",
            "true or attributes.missing matches 'never looked at'",
        ] {
            assert_eq!(run(text), Ok(true), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_unfit() {
        for text in [
            "attributes.missing matches 'a'",
            "attributes.missing.x == 1",
            "body.x == 1",
            "body < 1",
            "attributes.n",
            "1 % 0 == 1",
            "attributes.l[5] == 1",
            "1 in body",
            "int(body) == 1",
        ] {
            assert_eq!(run(text), Err(Unfit), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_so() {
        let deep = format!("{}true{}", "(".repeat(70), ")".repeat(70));
        let long = vec!["true"; 600].join(" and ");
        for (text, expected) in [
            ("", "ends where a value is expected"),
            ("notes == 1", "notes is not known"),
            ("body matches", "ends where a value is expected"),
            ("body matches \"(\"", "is no pattern"),
            ("body matches attributes.p", "must be a text that stands there"),
            ("not body matches \"a\"", "write not (a matches b)"),
            ("body == 'a", "a text does not end"),
            ("body ~ 'a'", "'~' has no meaning"),
            ("1 and true", "and and or stand between"),
            ("env('A') == 'a'", "the function env is not supported"),
            ("1 + 1", "neither true nor false"),
            ("true true", "\"true\" is not expected"),
            ("99999999999999999999 == 1", "is no number"),
            (deep.as_str(), "nests deeper than"),
            (long.as_str(), "more than 1000 words"),
        ] {
            let told = Expr::condition(text).map(|_| ()).unwrap_err();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_written_harms(
            text in "(body|attributes|\\.n|\\[0\\]|\"a\"| and | not | in | matches |len\\(|\\)|\\(|[0-9]{1,20}|[-+*/%?:<=!.,\\[\\]é'\"`\\\\]){0,12}",
        ) {
            if let Ok(expr) = Expr::parse(&text) {
                let _ = value(&expr, &entry());
            }
        }
    }
}

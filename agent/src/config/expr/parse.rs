//! Words to an expression, by precedence.

use regex::Regex;

use super::super::field::{Field, Root};
use super::token::{Token, tokens};
use super::{Function, Kind, Literal, Node, Operation};

/// How deep an expression may nest; nobody writes it deeper, and the stack has an end.
const MAX_DEPTH: usize = 64;
/// How many words it may have: a long chain is deep as well.
const MAX_TOKENS: usize = 1_000;

/// expr-lang's precedence: what binds closer has the higher number.
const CHOICE: u8 = 0;
const OR: u8 = 10;
const AND: u8 = 15;
const COMPARE: u8 = 20;
const ADD: u8 = 30;
const NOT: u8 = 50;
const MULTIPLY: u8 = 60;
const NEGATIVE: u8 = 90;
const ELSE: u8 = 100;

pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    if parser.tokens.len() > MAX_TOKENS {
        return Err(format!("it has more than {MAX_TOKENS} words"));
    }
    let node = parser.expression(CHOICE)?;
    match parser.tokens.get(parser.at) {
        None => Ok(node),
        Some(token) => Err(format!("{} is not expected", shown(token))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// What stands between two values.
enum Infix {
    And,
    Or,
    Else,
    Matches,
    Binary(Operation),
}

impl Parser {
    fn expression(&mut self, least: u8) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        let mut node = self.prefixed()?;
        loop {
            let before = self.at;
            let is_negated = self.takes_word("not");
            let Some((infix, binds)) = self.infix() else {
                self.at = before;
                break;
            };
            if binds < least {
                self.at = before;
                break;
            }
            let right = self.expression(binds + 1)?;
            node = join(infix, node, right)?;
            if is_negated {
                node = Node::Not(Box::new(node));
            }
        }
        if least == CHOICE && self.takes_sign("?") {
            let yes = self.expression(CHOICE)?;
            self.expects(":")?;
            let no = self.expression(CHOICE)?;
            node = Node::Choice(Box::new((node, yes, no)));
        }
        self.depth -= 1;
        Ok(node)
    }

    /// The operator that stands here; where it is none, nothing is taken.
    fn infix(&mut self) -> Option<(Infix, u8)> {
        let compare = |operation| (Infix::Binary(operation), COMPARE);
        let found = match self.tokens.get(self.at)? {
            Token::Word(word) => match word.as_str() {
                "and" => (Infix::And, AND),
                "or" => (Infix::Or, OR),
                "in" => compare(Operation::In),
                "matches" => (Infix::Matches, COMPARE),
                "contains" => compare(Operation::Contains),
                "startsWith" => compare(Operation::StartsWith),
                "endsWith" => compare(Operation::EndsWith),
                _ => return None,
            },
            Token::Sign(sign) => match *sign {
                "&&" => (Infix::And, AND),
                "||" => (Infix::Or, OR),
                "??" => (Infix::Else, ELSE),
                "==" => compare(Operation::Equal),
                "!=" => compare(Operation::Unequal),
                "<" => compare(Operation::Less),
                "<=" => compare(Operation::LessOrEqual),
                ">" => compare(Operation::Greater),
                ">=" => compare(Operation::GreaterOrEqual),
                "+" => (Infix::Binary(Operation::Add), ADD),
                "-" => (Infix::Binary(Operation::Subtract), ADD),
                "*" => (Infix::Binary(Operation::Multiply), MULTIPLY),
                "/" => (Infix::Binary(Operation::Divide), MULTIPLY),
                "%" => (Infix::Binary(Operation::Remainder), MULTIPLY),
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        Some(found)
    }

    fn prefixed(&mut self) -> Result<Node, String> {
        if self.takes_word("not") || self.takes_sign("!") {
            let node = self.expression(NOT)?;
            if is_no(&node, Kind::Bool) {
                return Err("not stands before what is neither true nor false".to_owned());
            }
            return Ok(Node::Not(Box::new(node)));
        }
        if self.takes_sign("-") {
            return Ok(match self.expression(NEGATIVE)? {
                Node::Literal(Literal::Int(number)) => Node::Literal(Literal::Int(-number)),
                Node::Literal(Literal::Float(number)) => Node::Literal(Literal::Float(-number)),
                node => Node::Negative(Box::new(node)),
            });
        }
        let mut node = self.primary()?;
        loop {
            if self.takes_sign(".") {
                node = member(node, Node::Literal(Literal::Text(self.name()?)), false);
            } else if self.takes_sign("?.") {
                node = member(node, Node::Literal(Literal::Text(self.name()?)), true);
            } else if self.takes_sign("[") {
                let key = self.expression(CHOICE)?;
                self.expects("]")?;
                node = member(node, key, false);
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, String> {
        let Some(token) = self.tokens.get(self.at).cloned() else {
            return Err("it ends where a value is expected".to_owned());
        };
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Node::Literal(Literal::Text(text)),
            Token::Int(number) => Node::Literal(Literal::Int(number)),
            Token::Float(number) => Node::Literal(Literal::Float(number)),
            Token::Sign("$") => Node::Field(Field::whole(Root::Body)),
            Token::Sign("(") => {
                let node = self.expression(CHOICE)?;
                self.expects(")")?;
                node
            }
            Token::Sign("[") => Node::List(self.list()?),
            Token::Word(word) => return self.word(&word),
            token => return Err(format!("{} stands where a value is expected", shown(&token))),
        })
    }

    fn word(&mut self, word: &str) -> Result<Node, String> {
        let literal = match word {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "nil" => Literal::Nil,
            "body" => return Ok(Node::Field(Field::whole(Root::Body))),
            "attributes" => return Ok(Node::Field(Field::whole(Root::Attributes))),
            "resource" => return Ok(Node::Field(Field::whole(Root::Resource))),
            word => return self.call(word),
        };
        Ok(Node::Literal(literal))
    }

    fn call(&mut self, name: &str) -> Result<Node, String> {
        if !self.takes_sign("(") {
            return Err(format!("{name} is not known; values are body, attributes and resource"));
        }
        let function = match name {
            "len" => Function::Len,
            "int" => Function::Int,
            "float" => Function::Float,
            "string" => Function::Text,
            "lower" => Function::Lower,
            "upper" => Function::Upper,
            "trim" => Function::Trim,
            _ => {
                return Err(format!(
                    "the function {name} is not supported; supported are len, int, float, string, lower, upper, trim"
                ));
            }
        };
        let of = self.expression(CHOICE)?;
        self.expects(")")?;
        Ok(Node::Call(function, Box::new(of)))
    }

    /// The rest of a list.
    fn list(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while !self.takes_sign("]") {
            if !nodes.is_empty() {
                self.expects(",")?;
            }
            nodes.push(self.expression(CHOICE)?);
        }
        Ok(nodes)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => {
                Err("a name is missing after a dot; a key such as a.b is written [\"a.b\"]"
                    .to_owned())
            }
        }
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let is_here = matches!(self.tokens.get(self.at), Some(Token::Sign(here)) if *here == sign);
        self.at += usize::from(is_here);
        is_here
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_here = matches!(self.tokens.get(self.at), Some(Token::Word(here)) if here == word);
        self.at += usize::from(is_here);
        is_here
    }

    fn expects(&mut self, sign: &str) -> Result<(), String> {
        if self.takes_sign(sign) { Ok(()) } else { Err(format!("{sign:?} is missing")) }
    }
}

/// A key of a field makes a longer field, so that most expressions only look one up.
fn member(of: Node, key: Node, optional: bool) -> Node {
    match (of, key) {
        (Node::Field(mut field), Node::Literal(Literal::Text(key))) if !optional => {
            field.keys.push(key);
            Node::Field(field)
        }
        (of, key) => Node::Member { of: Box::new(of), key: Box::new(key), optional },
    }
}

/// Whether it is known before there is an entry that a value is of another kind.
fn is_no(node: &Node, kind: Kind) -> bool {
    node.kind() != Kind::Any && node.kind() != kind
}

fn join(infix: Infix, left: Node, right: Node) -> Result<Node, String> {
    if matches!(infix, Infix::And | Infix::Or)
        && (is_no(&left, Kind::Bool) || is_no(&right, Kind::Bool))
    {
        return Err("and and or stand between what is true or false".to_owned());
    }
    let of_texts = match infix {
        Infix::Matches => true,
        Infix::Binary(operation) => {
            matches!(operation, Operation::Contains | Operation::StartsWith | Operation::EndsWith)
        }
        _ => false,
    };
    // Among them `not body matches "a"`, which means `(not body) matches "a"`.
    if of_texts && (is_no(&left, Kind::Text) || is_no(&right, Kind::Text)) {
        return Err("matches, contains, startsWith and endsWith stand between texts; write not (a matches b)".to_owned());
    }
    Ok(match infix {
        Infix::And => Node::And(Box::new((left, right))),
        Infix::Or => Node::Or(Box::new((left, right))),
        Infix::Else => Node::Else(Box::new((left, right))),
        Infix::Matches => match right {
            Node::Literal(Literal::Text(pattern)) => {
                let regex = Regex::new(&pattern).map_err(|error| {
                    // The error draws the pattern; its last line says what is wrong.
                    let error = error.to_string();
                    let error = error.lines().last().unwrap_or_default().trim().to_owned();
                    format!("{pattern:?} is no pattern: {error}")
                })?;
                Node::Matches(Box::new(left), regex)
            }
            _ => {
                return Err("the pattern after matches must be a text that stands there".to_owned());
            }
        },
        Infix::Binary(operation) => Node::Binary(operation, Box::new((left, right))),
    })
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => format!("{word:?}"),
        Token::Text(text) => format!("the text {text:?}"),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Sign(sign) => format!("{sign:?}"),
    }
}

//! YAML text → a tree in which everything knows its place.
//!
//! Scalars stay as they were written: what a text means (a number, a boolean, a duration) is for the key to say that
//! reads it, so `yes` is no boolean and `0777` is no number by accident.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// Maps and lists inside each other; a configuration has about ten.
const MAX_DEPTH: usize = 64;
/// Values of one document, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// The variables whose values it holds.
    pub(crate) variables: Vec<String>,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing, or `null`.
    Null,
    /// A scalar; one without quotes may stand for a number or a boolean.
    Scalar {
        /// As it was written, or as the environment has it.
        text: String,
        /// Whether it stood without quotes.
        plain: bool,
    },
    /// `[a, b]`
    List(Vec<Node>),
    /// `{a: b}`, in the order in which it was written.
    Map(Vec<(Key, Node)>),
}

/// The name of a value in a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// A file and a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

/// Why a text is no YAML, and where.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) place: Place,
    pub(crate) what: String,
}

impl Node {
    /// The value of `key`, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(name, _)| name.name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }
}

impl Value {
    /// What it is, for those who expected something else.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a scalar",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Reads one document; `file` is what faults call it.
pub(crate) fn parse(text: &str, file: &str) -> Result<Node, SyntaxError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        file: file.into(),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let root = loop {
        match reader.next()? {
            (Event::StreamEnd, span) => {
                let place = reader.place(span);
                return Ok(Node { value: Value::Null, place, variables: Vec::new() });
            }
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (event, span) => break reader.node(event, span, 0)?,
        }
    };
    match (reader.next()?, reader.next()?) {
        ((Event::DocumentEnd, _), (Event::StreamEnd, _)) => Ok(root),
        (_, (_, span)) => Err(reader.fault(span, "a second document; a file holds one")),
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    file: Arc<str>,
    /// What each anchor stands for, with the number of its nodes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(SyntaxError {
                place: Place { file: Arc::clone(&self.file), line: error.marker().line() },
                what: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let before = self.nodes;
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(self.fault(span, "maps and lists are nested too deeply"));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => {
                let Some((node, count)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.fault(span, "an alias inside what it stands for"));
                };
                self.nodes += count;
                self.check_size(span)?;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text_by_tag =
                    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !text_by_tag;
                (scalar(text.into_owned(), plain), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            _ => return Err(self.fault(span, "a value is missing")),
        };
        self.check_size(span)?;
        let node = Node { value, place: self.place(span), variables: Vec::new() };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes)),
                (event, span) => nodes.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (name, place) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(Value::Map(entries)),
                (Event::Scalar(name, ..), span) => (name.into_owned(), self.place(span)),
                (_, span) => return Err(self.fault(span, "a key that is no text")),
            };
            if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
                let what =
                    format!("the key {name:?} stands here a second time, after {}", first.place);
                return Err(SyntaxError { place, what });
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            entries.push((Key { name, place }, node));
        }
    }

    fn check_size(&self, span: Span) -> Result<(), SyntaxError> {
        if self.nodes > MAX_NODES {
            return Err(self.fault(span, "the document is too large, with what its aliases repeat"));
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        Place { file: Arc::clone(&self.file), line: span.start.line() }
    }

    fn fault(&self, span: Span, what: &str) -> SyntaxError {
        SyntaxError { place: self.place(span), what: what.to_owned() }
    }
}

/// A scalar, or nothing where YAML means nothing.
pub(crate) fn scalar(text: String, plain: bool) -> Value {
    if plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text, plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_knows_its_line() {
        let root = parse("a: 1\nb:\n  - x\n  - c: 'y'\n", "f.yaml").unwrap();
        assert_eq!(root.get("a").unwrap().place.to_string(), "f.yaml:1");
        let Value::List(items) = &root.get("b").unwrap().value else { panic!("{root:?}") };
        assert_eq!(items[1].get("c").unwrap().place.line, 4);
        assert_eq!(items[1].get("c").unwrap().value, scalar("y".to_owned(), false));
    }

    #[test]
    fn an_empty_text_is_nothing_and_aliases_are_what_they_stand_for() {
        assert_eq!(parse("# nothing\n", "f").unwrap().value, Value::Null);
        let root = parse("a: &x [1, 2]\nb: *x\n", "f").unwrap();
        assert_eq!(root.get("a").unwrap().value, root.get("b").unwrap().value);
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_place() {
        for (text, line) in [
            ("a: 1\nb: 2\na: 3\n", 3),
            ("a: [1\n", 2),
            ("a: 1\n---\nb: 2\n", 2),
            ("? [a]\n: b\n", 1),
        ] {
            let error = parse(text, "f").unwrap_err();
            assert_eq!(error.place.line, line, "{text:?}: {}", error.what);
        }
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let before = format!("*a{}", n - 1);
            text += &format!("a{n}: &a{n} [{}]\n", [before.as_str(); 9].join(", "));
        }
        assert!(parse(&text, "f").unwrap_err().what.contains("too large"));
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        parse(&deep, "f").unwrap_err();
    }
}

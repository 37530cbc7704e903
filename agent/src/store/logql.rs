//! The subset of LogQL that the read API answers.
//!
//! ```text
//! query    = "{" name "=" string { "," name "=" string } "}" { filter }
//! filter   = "|=" string | "|" ("trace_id" | "span_id") "=" string
//! string   = "…" with Go's escapes, or `…` without any
//! ```

use std::fmt;

use super::lines::{LineQuery, Needle};
use crate::record::{SpanId, TraceId};

/// What is supported, for every error's end.
const SUPPORTED: &str = "supported are selectors with `=`, line filters `|=`, and \
     `| trace_id=\"…\"` or `| span_id=\"…\"`, e.g. {service_name=\"api\"} |= \"text\"";

/// Longer queries are refused.
const MAX_QUERY_BYTES: usize = 8192;

/// More conditions than this are refused.
const MAX_CONDITIONS: usize = 64;

/// A query that this subset does not have, and where it went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    column: usize,
    expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, expected } = self;
        write!(f, "parse error at line 1, col {column}: expected {expected}; {SUPPORTED}")
    }
}

impl std::error::Error for ParseError {}

/// Reads a query into the conditions of a [`LineQuery`]; its times and limit are the default's.
///
/// # Errors
/// For everything outside the subset, with the column and what is supported.
pub fn parse(query: &str) -> Result<LineQuery, ParseError> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(ParseError { column: 1, expected: "a query of at most 8192 bytes" });
    }
    let mut parser = Parser { query, at: 0 };
    let mut parsed = LineQuery { labels: parser.selector()?, ..LineQuery::default() };
    while !parser.is_at_end() {
        parser.filter(&mut parsed)?;
        if parsed.contains.len() + parsed.labels.len() > MAX_CONDITIONS {
            return Err(parser.expected("at most 64 conditions"));
        }
    }
    Ok(parsed)
}

struct Parser<'a> {
    query: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn selector(&mut self) -> Result<Vec<(String, String)>, ParseError> {
        self.take("{", "`{`")?;
        let mut labels = Vec::new();
        while !self.try_take("}") {
            if !labels.is_empty() {
                self.take(",", "`,` or `}`")?;
                // Loki allows a comma at the end.
                if self.try_take("}") {
                    break;
                }
            }
            let name = self.name()?;
            self.equals()?;
            labels.push((name, self.string()?));
            if labels.len() > MAX_CONDITIONS {
                return Err(self.expected("at most 64 conditions"));
            }
        }
        if labels.iter().all(|(_, value)| value.is_empty()) {
            return Err(self.expected("at least one label with a value that is not empty"));
        }
        Ok(labels)
    }

    fn filter(&mut self, query: &mut LineQuery) -> Result<(), ParseError> {
        if self.try_take("|=") {
            query.contains.push(Needle { text: self.string()?, ignore_case: false });
            return Ok(());
        }
        self.take("|", "`|=`, `|` or the end")?;
        self.skip_space();
        let start = self.at;
        let name = self.name()?;
        match name.as_str() {
            "trace_id" | "span_id" => self.equals()?,
            _ => {
                self.at = start;
                return Err(self.expected("`trace_id` or `span_id`"));
            }
        }
        let start = self.at;
        let value = self.string()?;
        let known = match name.as_str() {
            "trace_id" => TraceId::from_hex(value.as_bytes()).map(|id| {
                // Two filters for two traces match nothing; the empty range says that.
                if query.trace_id.replace(id).is_some_and(|other| other != id) {
                    query.end_unix_nano = i64::MIN;
                }
            }),
            _ => SpanId::from_hex(value.as_bytes()).map(|id| {
                if query.span_id.replace(id).is_some_and(|other| other != id) {
                    query.end_unix_nano = i64::MIN;
                }
            }),
        };
        known.ok_or_else(|| {
            self.at = start;
            self.expected("an id of 32 (trace_id) or 16 (span_id) hex digits")
        })
    }

    fn equals(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        let rest = &self.query[self.at..];
        if rest.starts_with("=~") || rest.starts_with("==") {
            return Err(self.expected("`=`"));
        }
        self.take("=", "`=`")
    }

    fn name(&mut self) -> Result<String, ParseError> {
        self.skip_space();
        let rest = &self.query[self.at..];
        let length =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if length == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected("a label's name"));
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn string(&mut self) -> Result<String, ParseError> {
        const WHAT: &str = "a text in \"…\" or `…`";
        self.skip_space();
        let rest = &self.query[self.at..];
        if let Some(raw) = rest.strip_prefix('`') {
            let end = raw.find('`').ok_or_else(|| self.expected("a closing `"))?;
            self.at += end + 2;
            return Ok(raw[..end].to_owned());
        }
        let quoted = rest.strip_prefix('"').ok_or_else(|| self.expected(WHAT))?;
        let (text, length) =
            unquote(quoted).ok_or_else(|| self.expected("a closing \" and valid escapes"))?;
        self.at += length + 1;
        Ok(text)
    }

    fn take(&mut self, token: &str, expected: &'static str) -> Result<(), ParseError> {
        if self.try_take(token) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn try_take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.query[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.query.len()
    }

    fn skip_space(&mut self) {
        let rest = &self.query[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        ParseError { column: self.query[..self.at].chars().count() + 1, expected }
    }
}

/// The text up to the closing quote, and how many bytes it took, the quote included.
fn unquote(quoted: &str) -> Option<(String, usize)> {
    // Bytes, because `\xc3\xa9` is one character.
    let mut text = Vec::new();
    let mut rest = quoted;
    loop {
        let mut chars = rest.chars();
        match chars.next()? {
            '"' => {
                let length = quoted.len() - chars.as_str().len();
                return Some((String::from_utf8(text).ok()?, length));
            }
            '\\' => rest = unescape(chars.as_str(), &mut text)?,
            // Go's quoted strings end with their line.
            '\n' => return None,
            other => {
                push(&mut text, other);
                rest = chars.as_str();
            }
        }
    }
}

/// Adds what one escape stands for; returns what follows it.
fn unescape<'a>(escape: &'a str, text: &mut Vec<u8>) -> Option<&'a str> {
    let mut chars = escape.chars();
    let kind = chars.next()?;
    let rest = chars.as_str();
    let number = |digits: usize| u32::from_str_radix(rest.get(..digits)?, 16).ok();
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    match kind {
        'x' => text.push(u8::try_from(number(digits)?).ok()?),
        'u' | 'U' => push(text, char::from_u32(number(digits)?)?),
        'n' => text.push(b'\n'),
        't' => text.push(b'\t'),
        'r' => text.push(b'\r'),
        'a' => text.push(0x07),
        'b' => text.push(0x08),
        'f' => text.push(0x0c),
        'v' => text.push(0x0b),
        '\\' | '"' => push(text, kind),
        _ => return None,
    }
    rest.get(digits..)
}

fn push(text: &mut Vec<u8>, c: char) {
    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_query_of_every_part_is_read() {
        let query = parse(
            "{ pod=\"p\", container = `c` , } |= \"a \\\"quoted\\\" \\u00e9\\x41\" |=`raw\\n` \
             | trace_id=\"0af7651916cd43dd8448eb211c80319c\" | span_id = `00f067aa0ba902b7`",
        )
        .unwrap();
        let owned = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query.labels, [owned("pod", "p"), owned("container", "c")]);
        let texts: Vec<_> = query.contains.iter().map(|needle| needle.text.as_str()).collect();
        assert_eq!(texts, ["a \"quoted\" éA", "raw\\n"]);
        assert_eq!(query.trace_id, TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(query.span_id, SpanId::from_hex(b"00f067aa0ba902b7"));
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_column() {
        for (query, column) in [
            ("", 1),
            ("{}", 3),
            ("{pod=\"\"}", 9),
            ("{pod=~\"a\"}", 5),
            ("{pod!=\"a\"}", 5),
            ("{pod=\"a\"} != \"x\"", 11),
            ("{pod=\"a\"} | json", 13),
            ("{pod=\"a\"} | trace_id=\"0\"", 22),
            ("{pod=\"a", 6),
            ("{pod=\"\\q\"}", 6),
            ("rate({pod=\"a\"}[1m])", 1),
        ] {
            let error = parse(query).unwrap_err();
            assert_eq!(error.column, column, "{query}: {error}");
            assert!(error.to_string().contains("supported are"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(query in "\\PC*") {
            let _ = parse(&query);
        }

        #[test]
        fn no_almost_valid_query_makes_the_parser_panic(
            query in r#"(\{|\}|pod|="|"|`|,|\|=|\||trace_id|\\x|\\u|\\U|[a-fé0-9\\\n ]){0,40}"#
        ) {
            let _ = parse(&query);
        }

        #[test]
        fn any_quoted_text_is_read_back(text in "[^\"\\\\\n]*") {
            let query = parse(&format!("{{a=\"b\"}} |= \"{text}\"")).unwrap();
            prop_assert_eq!(&query.contains[0].text, &text);
        }
    }
}

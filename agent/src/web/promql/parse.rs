//! Text → query.

use std::fmt;

use regex::RegexBuilder;

use super::{Aggregation, Arithmetic, Expr, Grouping};
use crate::store::{Matcher, Operator};

/// What is supported, for every error's end.
const SUPPORTED: &str = "supported are selectors, rate(), increase(), histogram_quantile(), sum, avg, min, max and \
     count with by or without, numbers and + - * /";

/// Longer queries are refused.
const MAX_QUERY_BYTES: usize = 8192;

/// Deeper queries are refused.
const MAX_DEPTH: usize = 32;

/// What one regular expression may take when it is compiled.
const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// A query that this subset does not have, and where it went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ParseError {
    column: usize,
    problem: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse error at char {}: {}; {SUPPORTED}", self.column, self.problem)
    }
}

/// Reads a query.
///
/// # Errors
/// For everything outside the subset, with the place and what is supported.
pub(in super::super) fn parse(query: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(query)?;
    let expr = parser.sum()?;
    parser.end()?;
    Ok(expr)
}

/// Reads a selector alone, as `match[]` has it.
///
/// # Errors
/// As [`parse`].
pub(in super::super) fn parse_selector(query: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(query)?;
    let matchers = parser.selector()?;
    parser.end()?;
    Ok(matchers)
}

struct Parser<'a> {
    query: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(query: &'a str) -> Result<Self, ParseError> {
        let parser = Self { query, at: 0, depth: 0 };
        if query.len() > MAX_QUERY_BYTES {
            return Err(parser.problem("a query has at most 8192 bytes"));
        }
        Ok(parser)
    }

    fn sum(&mut self) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.problem("too many parentheses"));
        }
        let mut left = self.product()?;
        loop {
            let operator = if self.try_take("+") {
                Arithmetic::Add
            } else if self.try_take("-") {
                Arithmetic::Subtract
            } else {
                self.depth -= 1;
                return Ok(left);
            };
            left = binary(operator, left, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Expr, ParseError> {
        let mut left = self.factor()?;
        loop {
            let operator = if self.try_take("*") {
                Arithmetic::Multiply
            } else if self.try_take("/") {
                Arithmetic::Divide
            } else {
                return Ok(left);
            };
            left = binary(operator, left, self.factor()?);
        }
    }

    fn factor(&mut self) -> Result<Expr, ParseError> {
        self.skip_space();
        if self.try_take("(") {
            let inner = self.sum()?;
            self.take(")")?;
            return Ok(inner);
        }
        if self
            .rest()
            .starts_with(['-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        {
            return self.number().map(Expr::Number);
        }
        if self.rest().starts_with('{') {
            return self.selector().map(Expr::Vector);
        }
        let start = self.at;
        let word = self.name()?;
        match word {
            "rate" | "increase" if self.peek("(") => self.rate(word == "rate"),
            "histogram_quantile" if self.peek("(") => self.quantile(),
            "sum" | "avg" | "min" | "max" | "count" if self.is_aggregate() => self.aggregate(word),
            _ if self.peek("(") => {
                self.at = start;
                Err(self.problem(&format!("the function {word}")))
            }
            _ => {
                self.at = start;
                self.selector().map(Expr::Vector)
            }
        }
    }

    fn rate(&mut self, per_second: bool) -> Result<Expr, ParseError> {
        self.take("(")?;
        let matchers = self.selector()?;
        self.take("[")?;
        let range_nanos = self.duration()?;
        self.take("]")?;
        self.take(")")?;
        Ok(Expr::Rate { matchers, range_nanos, per_second })
    }

    fn quantile(&mut self) -> Result<Expr, ParseError> {
        self.take("(")?;
        let quantile = self.number()?;
        self.take(",")?;
        let of = Box::new(self.sum()?);
        self.take(")")?;
        Ok(Expr::Quantile { quantile, of })
    }

    fn is_aggregate(&mut self) -> bool {
        self.peek("(") || ["by", "without"].iter().any(|word| self.peek(word))
    }

    fn aggregate(&mut self, word: &str) -> Result<Expr, ParseError> {
        let how = match word {
            "sum" => Aggregation::Sum,
            "avg" => Aggregation::Average,
            "min" => Aggregation::Min,
            "max" => Aggregation::Max,
            _ => Aggregation::Count,
        };
        let before = self.grouping()?;
        self.take("(")?;
        let of = Box::new(self.sum()?);
        self.take(")")?;
        let grouping = match before {
            Some(grouping) => grouping,
            None => self.grouping()?.unwrap_or(Grouping::By(Vec::new())),
        };
        Ok(Expr::Aggregate { how, grouping, of })
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let is_by = self.try_take("by");
        if !is_by && !self.try_take("without") {
            return Ok(None);
        }
        self.take("(")?;
        let mut labels = Vec::new();
        while !self.try_take(")") {
            if !labels.is_empty() {
                self.take(",")?;
            }
            labels.push(self.name()?.to_owned());
        }
        Ok(Some(if is_by { Grouping::By(labels) } else { Grouping::Without(labels) }))
    }

    fn selector(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.skip_space();
        let start = self.at;
        let mut matchers = Vec::new();
        if !self.rest().starts_with('{') {
            let name = self.name()?.to_owned();
            matchers.push(Matcher { name: "__name__".to_owned(), operator: Operator::Equal(name) });
        }
        if self.try_take("{") {
            while !self.try_take("}") {
                matchers.push(self.matcher()?);
                if !self.try_take(",") && !self.peek("}") {
                    return Err(self.problem("expected `,` or `}`"));
                }
            }
        }
        // Prometheus, too, wants something to look for.
        let selects = |matcher: &Matcher| match &matcher.operator {
            Operator::Equal(text) => !text.is_empty(),
            Operator::NotEqual(text) => text.is_empty(),
            Operator::Matches(regex) => !regex.is_match(""),
            Operator::MatchesNot(regex) => regex.is_match(""),
        };
        if !matchers.iter().any(selects) {
            self.at = start;
            return Err(self.problem("a selector needs a matcher that no missing label meets"));
        }
        Ok(matchers)
    }

    fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let name = self.name()?.to_owned();
        let operator = ["=~", "!~", "!=", "="]
            .into_iter()
            .find(|operator| self.try_take(operator))
            .ok_or_else(|| self.problem("expected `=`, `!=`, `=~` or `!~`"))?;
        let at = self.at;
        let text = self.string()?;
        let regex = |text: &str| {
            RegexBuilder::new(&format!("^(?s:{text})$"))
                .size_limit(MAX_REGEX_BYTES)
                .build()
                .map_err(|error| {
                    let problem = format!("the regular expression {text:?}: {error}");
                    ParseError { column: at + 1, problem }
                })
        };
        let operator = match operator {
            "=" => Operator::Equal(text),
            "!=" => Operator::NotEqual(text),
            "=~" => Operator::Matches(regex(&text)?),
            _ => Operator::MatchesNot(regex(&text)?),
        };
        Ok(Matcher { name, operator })
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.skip_space();
        let mut chars = self.rest().char_indices();
        let quote = match chars.next() {
            Some((_, quote @ ('"' | '\'' | '`'))) => quote,
            _ => return Err(self.problem("expected a string")),
        };
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += index + 1;
                    return Ok(text);
                }
                '\\' if quote != '`' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    _ => {
                        self.at += index;
                        return Err(self.problem("this escape"));
                    }
                },
                c => text.push(c),
            }
        }
        Err(self.problem("a string without an end"))
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        self.skip_space();
        let rest = self.rest();
        let mut end = 0;
        for (index, c) in rest.char_indices() {
            let after_e = rest[..index].ends_with(['e', 'E']);
            let is_part = c.is_ascii_digit()
                || c == '.'
                || (matches!(c, 'e' | 'E') && index > 0)
                || (matches!(c, '+' | '-') && (index == 0 || after_e));
            if !is_part {
                break;
            }
            end = index + c.len_utf8();
        }
        let number = rest[..end].parse().map_err(|_| self.problem("expected a number"))?;
        self.at += end;
        Ok(number)
    }

    fn duration(&mut self) -> Result<i64, ParseError> {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let nanos = duration_nanos(&rest[..end])
            .filter(|nanos| *nanos > 0)
            .ok_or_else(|| self.problem("expected a duration such as 5m or 1h30m"))?;
        self.at += end;
        Ok(nanos)
    }

    fn name(&mut self) -> Result<&'a str, ParseError> {
        self.skip_space();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if end == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.problem("expected a name"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn end(&mut self) -> Result<(), ParseError> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.problem("what follows from here")) }
    }

    fn take(&mut self, token: &str) -> Result<(), ParseError> {
        if self.try_take(token) {
            Ok(())
        } else {
            Err(self.problem(&format!("expected `{token}`")))
        }
    }

    fn try_take(&mut self, token: &str) -> bool {
        let found = self.peek(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn peek(&mut self, token: &str) -> bool {
        self.skip_space();
        let rest = self.rest();
        let continues =
            |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let is_word = token.ends_with(|c: char| c.is_ascii_alphabetic());
        rest.starts_with(token) && !(is_word && continues(&rest[token.len()..]))
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.query[self.at..]
    }

    fn problem(&self, problem: &str) -> ParseError {
        ParseError {
            column: self.query[..self.at].chars().count() + 1,
            problem: problem.to_owned(),
        }
    }
}

fn binary(operator: Arithmetic, left: Expr, right: Expr) -> Expr {
    Expr::Binary { operator, left: Box::new(left), right: Box::new(right) }
}

/// Prometheus's durations: `5m`, `1h30m`, `500ms`.
pub(in super::super) fn duration_nanos(text: &str) -> Option<i64> {
    const SECOND: i64 = 1_000_000_000;
    let mut rest = text;
    let mut sum = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit_and_rest = &rest[digits..];
        let end = unit_and_rest.find(|c: char| c.is_ascii_digit()).unwrap_or(unit_and_rest.len());
        let nanos = match &unit_and_rest[..end] {
            "ms" => SECOND / 1000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            "d" => 86_400 * SECOND,
            "w" => 7 * 86_400 * SECOND,
            "y" => 365 * 86_400 * SECOND,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(nanos)?)?;
        rest = &unit_and_rest[end..];
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_outside_the_subset_is_named_with_what_is_inside() {
        for (query, problem) in [
            ("topk(5, up)", "char 1: the function topk"),
            ("up offset 5m", "char 4: what follows"),
            ("{}", "char 1: a selector needs"),
            ("{a=~\".*\"}", "a selector needs"),
            ("up{a=~\"(\"}", "the regular expression"),
            ("rate(up)", "expected `[`"),
            ("sum by (a", "expected `,`"),
            ("", "expected a name"),
        ] {
            let told = parse(query).unwrap_err().to_string();
            assert!(told.contains(problem) && told.contains("supported are"), "{query}: {told}");
        }
        assert!(parse(&"(".repeat(100)).is_err());
        assert!(parse(&"-".repeat(5000)).is_err());
    }

    #[test]
    fn queries_of_the_subset_are_read() {
        for query in [
            "1+1",
            "up",
            "sum by (job) (rate(http_requests_total{code=~\"5..\", job!='x'}[1m30s])) / 2",
            "histogram_quantile(0.95, sum(rate(a_bucket[5m])) by (le, job))",
            "sum(a) / sum(b)",
            "sum_of_things + count",
            "{__name__=~\"http_.+\"}",
        ] {
            assert!(parse(query).is_ok(), "{query}: {:?}", parse(query));
        }
        assert_eq!(duration_nanos("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration_nanos("5"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z(){}\\[\\]=~!,\"'`0-9e+*/ \\-é]{0,60}") {
            let _ = parse(&text);
        }
    }
}

//! The few keys of a json line that matter, read without building a tree.
//!
//! Only keys of the outermost object count: what a program logs as a nested value cannot pose as ours.

use memchr::memchr2;

use super::severity::{Severity, of_word};
use crate::record::{SpanId, TraceId};

/// What a json line says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys<'a> {
    pub(super) trace_id: Option<TraceId>,
    pub(super) span_id: Option<SpanId>,
    pub(super) flags: u32,
    pub(super) severity: Option<Severity<'a>>,
}

/// A key that other libraries spell in other ways.
///
/// Our own spelling decides wherever it stands; among the others, two that differ decide nothing.
#[derive(Default)]
struct Spelled<'a> {
    own: Option<&'a [u8]>,
    other: Option<&'a [u8]>,
    ambiguous: bool,
}

impl<'a> Spelled<'a> {
    fn see_own(&mut self, value: &'a [u8]) {
        self.own.get_or_insert(value);
    }

    fn see_other(&mut self, value: &'a [u8]) {
        self.ambiguous |= self.other.is_some_and(|seen| seen != value);
        self.other.get_or_insert(value);
    }

    fn value(&self) -> Option<&'a [u8]> {
        self.own.or(self.other.filter(|_| !self.ambiguous))
    }
}

/// Reads as far as the line is json; `None` when it does not begin as an object.
pub(super) fn keys(line: &[u8]) -> Option<Keys<'_>> {
    let mut scan = Scan { rest: line };
    scan.token(b'{')?;
    if !matches!(scan.peek(), Some(b'"' | b'}')) {
        return None;
    }
    let (mut trace_id, mut span_id) = (Spelled::default(), Spelled::default());
    let (mut flags, mut severity) = (None, None);
    while let Some((key, value)) = scan.member() {
        match key {
            b"trace_id" => trace_id.see_own(value),
            b"span_id" => span_id.see_own(value),
            b"traceId" | b"traceID" | b"trace.id" => trace_id.see_other(value),
            b"spanId" | b"spanID" | b"span.id" => span_id.see_other(value),
            b"trace_flags" => drop(flags.get_or_insert(value)),
            b"level" | b"severity" => drop(severity.get_or_insert(value)),
            _ => {}
        }
        // Our own lines have their keys in front of all data: the rest need not be read.
        if trace_id.own.is_some() && span_id.own.is_some() && flags.is_some() && severity.is_some()
        {
            break;
        }
    }
    let trace_id = trace_id.value().and_then(TraceId::from_hex);
    Some(Keys {
        trace_id,
        span_id: trace_id.and(span_id.value().and_then(SpanId::from_hex)),
        flags: u32::from(trace_id.is_some() && flags.is_some_and(is_sampled)),
        severity: severity.and_then(of_word),
    })
}

fn is_sampled(flags: &[u8]) -> bool {
    matches!(flags, b"1" | [b'0', b'1'])
}

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// The next key of this object and its value, without quotes; a nested value is empty.
    /// `None` at the object's end, and where it is no longer json.
    fn member(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        if self.peek() == Some(b',') {
            self.token(b',')?;
        }
        let key = self.string()?;
        self.token(b':')?;
        let value = match self.peek()? {
            b'"' => self.string()?,
            b'{' | b'[' => self.skip_nested()?,
            _ => self.scalar(),
        };
        Some((key, value))
    }

    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn token(&mut self, token: u8) -> Option<()> {
        if self.peek()? != token {
            return None;
        }
        self.rest = &self.rest[1..];
        Some(())
    }

    /// A string as it stands, escapes included: no key and no id that we look for needs one.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.token(b'"')?;
        let mut end = 0;
        loop {
            end += memchr2(b'"', b'\\', &self.rest[end..])?;
            if self.rest[end] == b'"' {
                break;
            }
            end += 2;
            if end > self.rest.len() {
                return None;
            }
        }
        let (string, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Some(string)
    }

    fn scalar(&mut self) -> &'a [u8] {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
        let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (scalar, rest) = self.rest.split_at(end);
        self.rest = rest;
        scalar
    }

    /// Skips an object or array by counting brackets, which is exact outside of strings.
    fn skip_nested(&mut self) -> Option<&'a [u8]> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                bracket => {
                    match bracket {
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.rest = &self.rest[1..];
                    if depth == 0 {
                        return Some(b"");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const OTHER: &str = "deadbeefdeadbeefdeadbeefdeadbeef";

    fn trace_id(line: &str) -> Option<String> {
        keys(line.as_bytes())?.trace_id.map(|id| id.to_string())
    }

    #[test]
    fn only_the_outermost_object_counts_and_the_first_key_wins() {
        let nested = format!(r#"{{"a":{{"trace_id":"{OTHER}"}},"b":[{{"trace_id":"{OTHER}"}}]}}"#);
        assert_eq!(trace_id(&nested), None);
        let twice = format!(r#"{{"a":"}}\"{{","trace_id":"{TRACE}","trace_id":"{OTHER}"}}"#);
        assert_eq!(trace_id(&twice).as_deref(), Some(TRACE));
        let zero = format!(r#"{{"trace_id":"0","trace_id":"{OTHER}"}}"#);
        assert_eq!(trace_id(&zero), None);
    }

    #[test]
    fn other_spellings_count_when_they_agree() {
        assert_eq!(trace_id(&format!(r#"{{"traceId":"{TRACE}"}}"#)).as_deref(), Some(TRACE));
        let differ = format!(r#"{{"traceId":"{TRACE}","traceID":"{OTHER}"}}"#);
        assert_eq!(trace_id(&differ), None);
        let own = format!(r#"{{"traceId":"{OTHER}","trace_id":"{TRACE}"}}"#);
        assert_eq!(trace_id(&own).as_deref(), Some(TRACE));
    }

    #[test]
    fn a_line_cut_short_gives_what_stands_before_the_cut() {
        let cut = format!(r#"{{"level":"warn", "trace_id": "{TRACE}","msg":"a\"#);
        assert_eq!(trace_id(&cut).as_deref(), Some(TRACE));
        assert_eq!(keys(cut.as_bytes()).and_then(|keys| keys.severity).map(|s| s.number), Some(13));
        assert_eq!(keys(b"{not json}"), None);
    }
}

//! The ids that a line's writer put into it.
//!
//! The first `trace_id=` and the first `span_id=` decide, whatever stands there: our own lines carry their
//! ids in front of everything that data can reach, so a later one is a forgery.

use memchr::memmem;

use super::json;
use super::severity::{self, Severity};
use crate::record::{SpanId, TraceId};

const TRACE_ID: &[u8] = b"trace_id=";
const SPAN_ID: &[u8] = b"span_id=";
const SAMPLED: &[u8] = b"trace_sampled=True";
const SERVICE_NAME: &[u8] = b"resource.service.name=";

/// What a line says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// The trace that was active.
    pub trace_id: Option<TraceId>,
    /// The span that was active; never without a trace.
    pub span_id: Option<SpanId>,
    /// W3C trace flags; 0 where the format does not say.
    pub flags: u32,
    /// The level.
    pub severity: Option<Severity<'a>>,
    /// The service, where the line names it.
    pub service_name: Option<&'a str>,
}

/// Finds what a line of any of the known formats says.
pub fn find(line: &[u8]) -> Found<'_> {
    if let Some(keys) = line.starts_with(b"{").then(|| json::keys(line)).flatten() {
        let json::Keys { trace_id, span_id, flags, severity } = keys;
        return Found { trace_id, span_id, flags, severity, service_name: None };
    }
    let mut found = Found { severity: severity::find(line), ..Found::default() };
    let Some(start) = first(line, TRACE_ID) else { return found };
    found.trace_id = value(&line[start..]).and_then(TraceId::from_hex);
    if found.trace_id.is_some() {
        let span = first(line, SPAN_ID).and_then(|start| value(&line[start..]));
        found.span_id = span.and_then(SpanId::from_hex);
    }
    // Python's bracket says more; what stands behind it is the message.
    let bracket = start - TRACE_ID.len();
    if bracket > 0 && line[bracket - 1] == b'[' {
        let inside = &line[start..];
        let inside = &inside[..memchr::memchr(b']', inside).unwrap_or(0)];
        found.flags =
            u32::from(found.trace_id.is_some() && memmem::find(inside, SAMPLED).is_some());
        found.service_name = first(inside, SERVICE_NAME)
            .and_then(|start| inside[start..].split(|&byte| byte == b' ').next())
            .and_then(|name| std::str::from_utf8(name).ok())
            .filter(|name| !name.is_empty());
    }
    found
}

/// Where the value of the first `key=` begins that is not the end of a longer name.
fn first(line: &[u8], key: &[u8]) -> Option<usize> {
    memmem::find_iter(line, key)
        .find(|&at| at == 0 || !is_word(line[at - 1]))
        .map(|at| at + key.len())
}

/// The hex digits at the beginning, in quotes or not, if nothing is glued to them.
fn value(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let end = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|value| !value.is_empty())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const OTHER: &str = "deadbeefdeadbeefdeadbeefdeadbeef";

    fn trace_id(line: &str) -> Option<String> {
        find(line.as_bytes()).trace_id.map(|id| id.to_string())
    }

    #[test]
    fn the_first_trace_id_decides_even_when_it_is_none() {
        assert_eq!(
            trace_id(&format!("[trace_id={TRACE}] trace_id={OTHER}")).as_deref(),
            Some(TRACE)
        );
        for none in ["0", "undefined", "", "00000000000000000000000000000000", &TRACE[1..]] {
            assert_eq!(trace_id(&format!("[trace_id={none} span_id=0] trace_id={OTHER}")), None);
        }
    }

    #[test]
    fn the_end_of_a_longer_name_is_not_the_key() {
        assert_eq!(trace_id(&format!("my_trace_id={OTHER} m")), None);
        let line = format!("my_trace_id={OTHER} trace_id={TRACE}");
        assert_eq!(trace_id(&line).as_deref(), Some(TRACE));
    }

    #[test]
    fn a_span_without_a_trace_is_no_span() {
        let found = find(b"trace_id=0 span_id=00f067aa0ba902b7");
        assert_eq!((found.trace_id, found.span_id), (None, None));
    }

    #[test]
    fn a_message_cannot_name_the_service() {
        let line = format!("[trace_id={TRACE} span_id=00f067aa0ba902b7] resource.service.name=x]");
        assert_eq!(find(line.as_bytes()).service_name, None);
    }
}

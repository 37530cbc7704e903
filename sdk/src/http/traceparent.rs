//! The W3C trace context of a request, read strictly and written.
//!
//! The stock propagator accepts ids that are too short, signs, and fields that version 00 does not have;
//! a line must never carry an id that its caller did not mean.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of a version 00 header: `00-<32 hex>-<16 hex>-<2 hex>`.
const VERSION_00_BYTES: usize = 55;
/// The specification asks to keep at least this much of a tracestate; a longer one is not taken.
const MAX_TRACESTATE_BYTES: usize = 512;

/// The caller's span; `None` without a header, and with one that is not exactly as specified.
pub(super) fn extract(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next()?;
    // Two parents are no parent.
    if values.next().is_some() {
        return None;
    }
    let (trace_id, span_id, flags) = parse(value.as_bytes())?;
    Some(SpanContext::new(trace_id, span_id, flags, true, trace_state(headers)))
}

/// Writes the span that sends a request; what was there before is replaced.
pub(super) fn inject(span: &SpanContext, headers: &mut HeaderMap) {
    headers.remove(TRACESTATE);
    let traceparent = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags() & TraceFlags::SAMPLED
    );
    if let Ok(value) = HeaderValue::try_from(traceparent) {
        headers.insert(TRACEPARENT, value);
    }
    let trace_state = span.trace_state().header();
    if !trace_state.is_empty()
        && let Ok(value) = HeaderValue::try_from(trace_state)
    {
        headers.insert(TRACESTATE, value);
    }
}

fn parse(header: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (fields, rest) = header.split_at_checked(VERSION_00_BYTES)?;
    let [b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f', b'-', ..] = fields else {
        return None;
    };
    match &fields[..2] {
        b"ff" => return None,
        b"00" if !rest.is_empty() => return None,
        // Versions to come may add fields, after another dash.
        _ if rest.first().is_some_and(|byte| *byte != b'-') => return None,
        _ => {}
    }
    if fields[35] != b'-' || fields[52] != b'-' {
        return None;
    }
    let trace_id = TraceId::from_bytes(hex(&fields[3..35])?);
    let span_id = SpanId::from_bytes(hex(&fields[36..52])?);
    let [flags] = hex(&fields[53..55])?;
    let is_valid = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    is_valid.then_some((trace_id, span_id, TraceFlags::new(flags) & TraceFlags::SAMPLED))
}

/// Lower-case digits only, as the specification has it.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// A state that cannot be read is left out; the parent counts all the same.
fn trace_state(headers: &HeaderMap) -> TraceState {
    let mut joined = String::new();
    for value in headers.get_all(TRACESTATE) {
        let Ok(value) = value.to_str() else { return TraceState::NONE };
        if joined.len() + value.len() > MAX_TRACESTATE_BYTES {
            return TraceState::NONE;
        }
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(value);
    }
    if joined.is_empty() { TraceState::NONE } else { joined.parse().unwrap_or(TraceState::NONE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    fn extracted(values: &[&[u8]]) -> Option<SpanContext> {
        let value = |bytes: &&[u8]| (TRACEPARENT, HeaderValue::from_bytes(bytes).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in values.iter().map(value) {
            headers.append(name, value);
        }
        extract(&headers)
    }

    #[test]
    fn a_valid_header_is_read_and_written_back() {
        let span = extracted(&[VALID.as_bytes()]).unwrap();
        assert!(span.is_remote() && span.is_sampled());
        let mut headers = HeaderMap::new();
        inject(&span, &mut headers);
        assert_eq!(headers["traceparent"], VALID);
    }

    #[test]
    fn a_later_version_may_have_more_fields() {
        for later in ["01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-extra", "cc-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"] {
            assert!(extracted(&[later.as_bytes()]).is_some(), "{later}");
        }
    }

    #[test]
    fn the_flags_of_level_2_are_not_passed_on() {
        let random = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-03";
        let span = extracted(&[random.as_bytes()]).unwrap();
        assert_eq!(span.trace_flags(), TraceFlags::SAMPLED);
    }

    #[test]
    fn whatever_is_malformed_is_refused() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = "00f067aa0ba902b7";
        let long = "0".repeat(65_536);
        let malformed = [
            String::new(),
            "-".into(),
            "00".into(),
            "00-".into(),
            format!("00-{trace}"),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-"),
            format!("00-{trace}-{span}-1"),
            format!("00-{trace}-{span}-01-"),
            format!("00-{trace}-{span}-01-extra"),
            format!("00-{trace}-{span}-011"),
            format!("00-{trace}-{span}-0g"),
            format!("00-{trace}-{span}-+1"),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{}-01", span.to_uppercase()),
            format!("00-{}-{span}-01", &trace[1..]),
            format!("00-{trace}-{}-01", &span[1..]),
            format!("00-{trace}0-{span}-01"),
            format!("00-+{}-{span}-01", &trace[1..]),
            format!("00-{trace}-+{}-01", &span[1..]),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.replace('a', "x")),
            format!("000-{trace}-{span}-01"),
            format!("0-{trace}-{span}-01"),
            format!("ff-{trace}-{span}-01"),
            format!("FE-{trace}-{span}-01"),
            format!("0x-{trace}-{span}-01"),
            format!("00_{trace}_{span}_01"),
            format!("00-{trace} {span}-01"),
            format!(" 00-{trace}-{span}-01"),
            format!("00-{trace}-{span}-01 "),
            format!("01-{trace}-{span}-01extra"),
            format!("{VALID},{VALID}"),
            long,
        ];
        for header in &malformed {
            assert_eq!(extracted(&[header.as_bytes()]), None, "{header:?}");
        }
        assert_eq!(extracted(&[b"00-\xff"]), None);
        assert_eq!(extracted(&[VALID.as_bytes(), VALID.as_bytes()]), None, "two headers");
    }

    #[test]
    fn a_state_is_carried_along_unless_it_is_too_long() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(VALID));
        headers.insert(TRACESTATE, HeaderValue::from_static("vendor=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("other=2"));
        let span = extract(&headers).unwrap();
        assert_eq!(span.trace_state().header(), "vendor=1,other=2");
        let long = HeaderValue::try_from("a=".to_owned() + &"1".repeat(600)).unwrap();
        headers.append(TRACESTATE, long);
        assert_eq!(extract(&headers).unwrap().trace_state().header(), "");
    }
}

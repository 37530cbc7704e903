//! W3C Trace Context, level 2: strict about what comes in, exact about what goes out.
//!
//! OpenTelemetry's own propagator takes short ids, signs and unknown flags for good. An id that is
//! not exactly the one that was sent ends in a trace that nobody can find, so here a header that
//! breaks a rule is as good as none.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::headers::Headers;
use crate::context::SpanIds;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-<32 digits>-<16 digits>-<2 digits>`
const TRACEPARENT_BYTES: usize = 55;
/// The bits that level 2 gives a meaning: sampled, and random trace id.
const KNOWN_FLAGS: u8 = 0b11;

const MAX_TRACESTATE_MEMBERS: usize = 32;
/// The standard asks for 512 to be passed on; what is longer than this is dropped as a whole.
const MAX_TRACESTATE_BYTES: usize = 8 * 1024;

/// The caller's span, if the headers name one in a form that the standard allows.
pub(super) fn extract(found: &Headers<'_>, headers: &HeaderMap) -> Option<SpanContext> {
    let (trace_id, span_id, flags) = parse(found.traceparent?.as_bytes())?;
    let state = match found.has_tracestate {
        true => tracestate(headers).unwrap_or_default(),
        false => TraceState::NONE,
    };
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}

/// Names `span` as the caller, in place of whatever the headers said before.
pub(crate) fn inject(span: &SpanContext, headers: &mut HeaderMap) {
    let Some(value) = value(span) else { return };
    headers.insert(TRACEPARENT, value);
    match HeaderValue::try_from(span.trace_state().header()) {
        Ok(state) if !state.is_empty() => headers.insert(TRACESTATE, state),
        _ => headers.remove(TRACESTATE),
    };
}

/// The header's value for a span; `None` if its ids are none.
pub(crate) fn value(span: &SpanContext) -> Option<HeaderValue> {
    let ids = SpanIds::of(span)?;
    let mut value = *b"00-................................-................-0.";
    value[3..35].copy_from_slice(&ids.trace_hex());
    value[36..52].copy_from_slice(&ids.span_hex());
    value[54] = b'0' + (span.trace_flags().to_u8() & KNOWN_FLAGS);
    HeaderValue::from_bytes(&value).ok()
}

fn parse(value: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (head, rest) = value.split_at_checked(TRACEPARENT_BYTES)?;
    let dashed = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    if !dashed {
        return None;
    }
    let [version] = unhex(&head[..2])?;
    // A later version may say more, behind another dash; version ff is forbidden.
    match (version, rest.first()) {
        (0x00..=0xfe, None) | (0x01..=0xfe, Some(b'-')) => {}
        _ => return None,
    }
    let trace_id = TraceId::from_bytes(unhex(&head[3..35])?);
    let span_id = SpanId::from_bytes(unhex(&head[36..52])?);
    let [flags] = unhex(&head[53..])?;
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID)
        .then(|| (trace_id, span_id, TraceFlags::new(flags & KNOWN_FLAGS)))
}

/// Lower-case digits only, two for each byte.
fn unhex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let mut seen = 0;
    let (pairs, _) = digits.as_chunks::<2>();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (NIBBLES[usize::from(*high)], NIBBLES[usize::from(*low)]);
        seen |= high | low;
        *byte = (high << 4) | (low & 0x0f);
    }
    (seen & NO_NIBBLE == 0).then_some(bytes)
}

const NO_NIBBLE: u8 = 0x80;

/// What a digit is worth.
static NIBBLES: [u8; 256] = {
    let mut nibbles = [NO_NIBBLE; 256];
    let digits = *b"0123456789abcdef";
    let mut worth = 0;
    while worth < digits.len() {
        nibbles[digits[worth] as usize] = worth as u8;
        worth += 1;
    }
    nibbles
};

/// The vendors' list, which may come in several headers. One fault voids the list, not the parent.
fn tracestate(headers: &HeaderMap) -> Option<TraceState> {
    let values = headers.get_all(TRACESTATE);
    if values.iter().map(HeaderValue::len).sum::<usize>() > MAX_TRACESTATE_BYTES {
        return None;
    }
    let mut members: Vec<(&str, &str)> = Vec::new();
    for value in values {
        for member in value.to_str().ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let is_fault = value.is_empty()
                || value.contains('\t')
                || members.len() == MAX_TRACESTATE_MEMBERS
                || members.iter().any(|(known, _)| *known == key);
            if is_fault || key.is_empty() {
                return None;
            }
            members.push((key, value));
        }
    }
    TraceState::from_key_value(members).ok()
}

#[cfg(test)]
mod tests;

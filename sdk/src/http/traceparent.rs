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
/// What the standard asks to be passed on, of all headers joined by commas. A longer list is dropped unread:
/// whoever sends one must not cost more than others.
const MAX_TRACESTATE_BYTES: usize = 512;

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
    let (head, rest) = value.split_first_chunk::<TRACEPARENT_BYTES>()?;
    let dashed = head[2] == b'-' && head[35] == b'-' && head[52] == b'-';
    if !dashed {
        return None;
    }
    // All digits one behind the other, so that one pass reads them; noughts fill up.
    let mut digits = [b'0'; 64];
    digits[..32].copy_from_slice(&head[3..35]);
    digits[32..48].copy_from_slice(&head[36..52]);
    digits[48..50].copy_from_slice(&head[..2]);
    digits[50..52].copy_from_slice(&head[53..]);
    let bytes = unhex(&digits)?;
    let (trace_id, others) = bytes.split_first_chunk()?;
    let (span_id, others) = others.split_first_chunk()?;
    let [version, flags, ..] = others else { return None };
    // A later version may say more, behind another dash; version ff is forbidden.
    match (version, rest.first()) {
        (0x00..=0xfe, None) | (0x01..=0xfe, Some(b'-')) => {}
        _ => return None,
    }
    let (trace_id, span_id) = (TraceId::from_bytes(*trace_id), SpanId::from_bytes(*span_id));
    (trace_id != TraceId::INVALID && span_id != SpanId::INVALID)
        .then(|| (trace_id, span_id, TraceFlags::new(flags & KNOWN_FLAGS)))
}

/// Lower-case digits only, two for each byte. Written without a branch or a table, so that sixteen are read at
/// once.
fn unhex(digits: &[u8; 64]) -> Option<[u8; 32]> {
    let (mut values, mut faults) = ([0; 64], 0);
    for (value, digit) in values.iter_mut().zip(digits) {
        let (numeral, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        *value = if numeral < 10 { numeral } else { letter.wrapping_add(10) };
        faults |= u8::from(numeral >= 10) & u8::from(letter >= 6);
    }
    let mut bytes = [0; 32];
    for (four, eight) in bytes.as_chunks_mut().0.iter_mut().zip(values.as_chunks().0) {
        *four = paired(*eight);
    }
    (faults == 0).then_some(bytes)
}

/// Eight values of a digit each as four bytes.
fn paired(values: [u8; 8]) -> [u8; 4] {
    let values = u64::from_be_bytes(values);
    let pairs = (values | (values >> 4)) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    let [.., a, b, c, d] = (quads | (quads >> 16)).to_be_bytes();
    [a, b, c, d]
}

/// The vendors' list, which may come in several headers. One fault voids the list, not the parent. A list with
/// a fault is refused before anything is copied.
fn tracestate(headers: &HeaderMap) -> Option<TraceState> {
    let values = headers.get_all(TRACESTATE);
    // Stops at the first value that is too much; an empty one counts, too, by the comma after it.
    values
        .iter()
        .try_fold(MAX_TRACESTATE_BYTES + 1, |left, value| left.checked_sub(value.len() + 1))?;
    let mut members = Members::default();
    for value in values {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = trimmed(member);
            if !member.is_empty() {
                members.take(member)?;
            }
        }
    }
    TraceState::from_key_value(members.all.iter().copied().take(members.count)).ok()
}

/// What was read of the vendors' list.
#[derive(Default)]
struct Members<'a> {
    all: [(&'a str, &'a str); MAX_TRACESTATE_MEMBERS],
    /// A digest of each key: 32 keys are compared with one another, and few of them are alike.
    digests: [u32; MAX_TRACESTATE_MEMBERS],
    count: usize,
}

impl<'a> Members<'a> {
    /// `None` if it is malformed, is there already, or is one too many. The order of a key's characters and the
    /// length of both parts are checked with the rest, by what keeps them.
    fn take(&mut self, member: &'a [u8]) -> Option<()> {
        let (mut digest, mut equals) = (0_u32, None);
        for (index, byte) in member.iter().enumerate() {
            match byte {
                b'=' => {
                    equals = Some(index);
                    break;
                }
                b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@' => {
                    digest = digest.wrapping_mul(31).wrapping_add(u32::from(*byte));
                }
                _ => return None,
            }
        }
        let (key, value) = (&member[..equals?], &member[equals? + 1..]);
        let is_text = value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=');
        if key.is_empty() || value.is_empty() || !is_text {
            return None;
        }
        let (key, value) = (std::str::from_utf8(key).ok()?, std::str::from_utf8(value).ok()?);
        let known = self.digests[..self.count].iter().zip(&self.all);
        let mut alike = known.filter(|(known, _)| **known == digest);
        if alike.any(|(_, (known, _))| *known == key) {
            return None;
        }
        *self.all.get_mut(self.count)? = (key, value);
        self.digests[self.count] = digest;
        self.count += 1;
        Some(())
    }
}

/// Without the spaces and tabs around it.
fn trimmed(mut member: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = member {
        member = rest;
    }
    member
}

#[cfg(test)]
mod tests;

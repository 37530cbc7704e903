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
    let mut fault = 0;
    let (groups, rest) = digits.as_chunks::<8>();
    let (whole, part) = bytes.as_chunks_mut::<4>();
    for (bytes, digits) in whole.iter_mut().zip(groups) {
        *bytes = eight_digits(*digits, &mut fault);
    }
    if !rest.is_empty() {
        // Two digits: the others stand for them.
        let mut digits = [b'0'; 8];
        digits[8 - rest.len()..].copy_from_slice(rest);
        let bytes = eight_digits(digits, &mut fault);
        part.copy_from_slice(&bytes[4 - part.len()..]);
    }
    (fault == 0).then_some(bytes)
}

/// Reads eight digits at once, each in its own byte of a word; `fault` gets a bit if one of them is none.
fn eight_digits(digits: [u8; 8], fault: &mut u64) -> [u8; 4] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let digits = u64::from_be_bytes(digits);
    let low = digits & (ONES * 0x0f);
    // Letters, and only they, have this bit: they are 0x61 to 0x66, numerals 0x30 to 0x39.
    let letters = (digits >> 6) & ONES;
    let values = low + letters * 9;
    *fault |= digits ^ (low + ONES * 0x30 + letters * 0x30);
    // A numeral over 9, a letter over f, a letter before a.
    *fault |= (low + ONES * 6) & (ONES * 0x10) & !(letters << 4);
    *fault |= values & (ONES * 0x10);
    *fault |= !(low + ONES * 0x0f) & (letters << 4);
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

//! `trace_parser`: the ids that fields hold in hexadecimal. A field that is not there is no id; one of the wrong length is not made to fit,
//! as it would lead nowhere.

use super::Unfit;
use super::entry::Entry;
use crate::config::{Field, Trace};
use crate::record::{SpanId, TraceId, value_text};

pub(super) fn set(entry: &mut Entry, trace: &Trace) -> Result<(), Unfit> {
    let text = |field: &Field| match entry.text(field) {
        Some(text) => Some(text.to_owned()),
        None => entry.get(field).map(|value| value_text(&value)),
    };
    let (trace_id, span_id, flags) =
        (text(&trace.trace_id), text(&trace.span_id), text(&trace.flags));
    let record = &mut entry.record;
    record.trace_id = trace_id.as_deref().and_then(|hex| TraceId::from_hex(hex.as_bytes()));
    record.span_id = span_id.as_deref().and_then(|hex| SpanId::from_hex(hex.as_bytes()));
    let byte = |hex: &str| u32::from_str_radix(hex.get(..2)?, 16).ok();
    let first_byte = flags.as_deref().map(|hex| byte(hex).filter(|_| hex.len() % 2 == 0));
    record.flags = first_byte.flatten().unwrap_or(0);
    // Zeros are no id, and no fault either.
    let is_id = |text: &Option<String>, is_some: bool| {
        is_some
            || text.as_deref().is_none_or(|text| text.is_empty() || text.bytes().all(|b| b == b'0'))
    };
    let fits = is_id(&trace_id, record.trace_id.is_some())
        && is_id(&span_id, record.span_id.is_some())
        && first_byte != Some(None);
    fits.then_some(()).ok_or(Unfit)
}

//! `2026-11-23T17:28:00.123456Z INFO [trace_id=T span_id=S] checkout::cart: added item sku=12`

use super::{Format, LineEvent, push_ids, push_pairs, upper_case};
use crate::log::escape::{self, Guard};
use crate::log::out::Out;

const OWN_KEYS: [&str; 2] = ["trace_id", "span_id"];

/// One line for people.
pub(super) struct TextFormat;

impl Format for TextFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        event.time.push_micros(out);
        out.push_ascii(b" ");
        out.push_str(upper_case(event.level));
        out.push_ascii(b" ");
        if let Some(ids) = event.ids {
            out.push_ascii(b"[");
            push_ids(out, ids);
            out.push_ascii(b"] ");
        }
        let guard = Guard::unless(event.ids.is_some());
        escape::push_prose(out, event.target, guard);
        out.push_ascii(b": ");
        escape::push_prose(out, event.fields.message(), guard);
        push_pairs(out, event.fields, &OWN_KEYS, guard);
    }
}

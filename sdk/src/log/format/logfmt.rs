//! `ts=… level=info target=checkout::cart trace_id=T span_id=S msg="added item" sku=12`

use super::{Layout, LineEvent, lower_case, push_ids, push_pairs};
use crate::log::escape::{self, Guard};
use crate::log::out::Out;

const OWN_KEYS: [&str; 6] = ["ts", "level", "target", "trace_id", "span_id", "msg"];

/// `key=value` pairs.
pub(super) struct LogfmtFormat;

impl Layout for LogfmtFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        out.push_ascii(b"ts=");
        event.time.push_micros(out);
        out.push_ascii(b" level=");
        out.push_str(lower_case(event.level));
        if let Some(target) = event.target {
            out.push_ascii(b" target=");
            // The target stands before the ids.
            escape::push_value(out, target, Guard::On);
        }
        if let Some(ids) = event.ids {
            out.push_ascii(b" ");
            push_ids(out, ids);
        }
        let guard = Guard::unless(event.ids.is_some());
        out.push_ascii(b" msg=");
        escape::push_value(out, event.fields.message(), guard);
        push_pairs(out, event.fields, &OWN_KEYS, guard);
    }
}

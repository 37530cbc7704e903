//! `{"timestamp":"…","level":"info","message":"…","target":"…","trace_id":"T","span_id":"S","trace_flags":"01",…}`

use super::{Format, LineEvent, lower_case, push_member, push_members};
use crate::log::digits;

const OWN_KEYS: [&str; 7] =
    ["timestamp", "level", "message", "target", "trace_id", "span_id", "trace_flags"];

/// One JSON object. Data may come before the ids here: inside a string it cannot pass for a key.
pub(super) struct JsonFormat;

impl Format for JsonFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut String) {
        out.push_str("{\"timestamp\":\"");
        event.time.push_micros(out);
        out.push_str("\",\"level\":\"");
        out.push_str(lower_case(event.level));
        out.push_str("\",");
        push_member(out, "message", event.fields.message());
        out.push(',');
        push_member(out, "target", event.target);
        if let Some(ids) = event.ids {
            out.push_str(",\"trace_id\":\"");
            digits::push_ascii(out, &ids.trace_hex());
            out.push_str("\",\"span_id\":\"");
            digits::push_ascii(out, &ids.span_hex());
            out.push_str("\",\"trace_flags\":\"");
            out.push_str(if ids.sampled { "01\"" } else { "00\"" });
        }
        push_members(out, event.fields, &OWN_KEYS);
        out.push('}');
    }
}

//! `{"timestamp":"…","level":"info","message":"…","target":"…","trace_id":"T","span_id":"S","trace_flags":"01",…}`

use super::{Layout, LineEvent, lower_case, push_member, push_members};
use crate::log::out::Out;

const OWN_KEYS: [&str; 5] = ["timestamp", "level", "message", "target", "trace_flags"];

/// One JSON object. Data may come before the ids here: inside a string it cannot pass for a key.
pub(super) struct JsonFormat;

impl Layout for JsonFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        out.push_ascii(b"{\"timestamp\":\"");
        event.time.push_micros(out);
        out.push_ascii(b"\",\"level\":\"");
        out.push_str(lower_case(event.level));
        out.push_ascii(b"\",");
        push_member(out, "message", event.fields.message());
        if let Some(target) = event.target {
            out.push_ascii(b",");
            push_member(out, "target", target);
        }
        if let Some(ids) = event.ids {
            out.push_ascii(b",\"trace_id\":\"");
            out.push_ascii(&ids.trace_hex());
            out.push_ascii(b"\",\"span_id\":\"");
            out.push_ascii(&ids.span_hex());
            out.push_ascii(b"\",\"trace_flags\":\"");
            out.push_str(if ids.sampled { "01\"" } else { "00\"" });
        }
        push_members(out, event.fields, &OWN_KEYS);
        out.push_ascii(b"}");
    }
}

//! `[INFO] [trace_id=T span_id=S] added item {"context":…,"level":…,"message":…,"timestamp":…,"ms":"+12ms",…}`

use tracing::Level;

use super::{Layout, LineEvent, push_ids_in_brackets, push_member, push_members};
use crate::log::digits;
use crate::log::escape::{self, Guard};
use crate::log::out::Out;

const OWN_KEYS: [&str; 5] = ["context", "level", "message", "timestamp", "ms"];

/// The line of a NestJS service with nest-winston: the message, then the record as JSON.
pub(super) struct WinstonFormat;

impl Layout for WinstonFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        let (level, level_upper) = names(event.level);
        out.push_ascii(b"[");
        out.push_str(level_upper);
        out.push_ascii(b"] ");
        if let Some(ids) = event.ids {
            push_ids_in_brackets(out, ids);
        }
        let message = event.fields.message();
        if !message.kept.is_empty() {
            escape::push_prose(out, message, Guard::unless(event.ids.is_some()));
            out.push_ascii(b" ");
        }
        out.push_ascii(b"{");
        if let Some(target) = event.target {
            push_member(out, "context", target);
            out.push_ascii(b",");
        }
        out.push_ascii(b"\"level\":\"");
        out.push_str(level);
        out.push_ascii(b"\",");
        push_member(out, "message", message);
        out.push_ascii(b",\"timestamp\":\"");
        event.time.push_millis(out);
        out.push_ascii(b"\",\"ms\":\"+");
        // 584 million years fit.
        digits::push_u64(out, event.since_last_line.as_millis() as u64);
        out.push_ascii(b"ms\"");
        push_members(out, event.fields, &OWN_KEYS);
        out.push_ascii(b"}");
    }

    fn wants_since_last_line(&self) -> bool {
        true
    }
}

/// npm's level, as the record and as the bracket spell it.
const fn names(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("error", "ERROR"),
        Level::WARN => ("warn", "WARN"),
        Level::INFO => ("info", "INFO"),
        Level::DEBUG => ("debug", "DEBUG"),
        Level::TRACE => ("silly", "SILLY"),
    }
}

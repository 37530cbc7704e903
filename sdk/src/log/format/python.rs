//! `2026-11-23 17:28:00,123 INFO [checkout::cart] [cart.rs:41] [trace_id=T span_id=S resource.service.name=api-python trace_sampled=True] - added item sku=12`

use tracing::Level;

use super::{Layout, LineEvent, push_ids, push_pairs};
use crate::log::digits;
use crate::log::escape::{self, Guard};
use crate::log::fields::Text;
use crate::log::out::Out;

const OWN_KEYS: [&str; 4] = ["trace_id", "span_id", "resource.service.name", "trace_sampled"];

/// The line of Python's `logging` with OpenTelemetry's `LoggingInstrumentor`.
pub(super) struct PythonFormat;

impl Layout for PythonFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        event.time.push_asctime(out);
        out.push_ascii(b" ");
        out.push_str(level_name(event.level));
        // Target and file stand before the ids.
        if let Some(target) = event.target {
            out.push_ascii(b" [");
            escape::push_prose(out, target, Guard::On);
            out.push_ascii(b"]");
        }
        out.push_ascii(b" [");
        escape::push_prose(out, event.file().unwrap_or(Text::whole("unknown")), Guard::On);
        out.push_ascii(b":");
        digits::push_u64(out, u64::from(event.line.unwrap_or(0)));
        out.push_ascii(b"] [");
        match event.ids {
            Some(ids) => push_ids(out, ids),
            None => out.push_str("trace_id=0 span_id=0"),
        }
        out.push_ascii(b" resource.service.name=");
        escape::push_prose(out, Text::whole(event.service_name), Guard::Off);
        let sampled = event.ids.is_some_and(|ids| ids.sampled);
        out.push_str(if sampled { " trace_sampled=True] - " } else { " trace_sampled=False] - " });
        escape::push_prose(out, event.fields.message(), Guard::Off);
        push_pairs(out, event.fields, &OWN_KEYS, Guard::Off);
    }

    fn wants_local_time(&self) -> bool {
        true
    }
}

/// Python has no TRACE.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

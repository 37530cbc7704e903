//! `2026-11-23T17:28:00.123456Z INFO [trace_id=T span_id=S] checkout::cart: added item sku=12`

use tracing::Level;

use super::{Layout, LineEvent, push_ids_in_brackets, push_pairs, upper_case};
use crate::log::escape::{self, Guard};
use crate::log::out::Out;

const OWN_KEYS: [&str; 2] = ["trace_id", "span_id"];

/// One line for people.
pub(super) struct TextFormat {
    /// For a terminal: the level has a colour.
    pub(super) colors: bool,
}

impl Layout for TextFormat {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        event.time.push_micros(out);
        if self.colors {
            out.push_ascii(b" ");
            out.push_str(color(event.level));
            out.push_str(upper_case(event.level));
            out.push_ascii(b"\x1b[0m ");
        } else {
            out.push_str(between_spaces(event.level));
        }
        if let Some(ids) = event.ids {
            push_ids_in_brackets(out, ids);
        }
        let guard = Guard::unless(event.ids.is_some());
        if let Some(target) = event.target {
            escape::push_prose(out, target, guard);
            out.push_ascii(b": ");
        }
        escape::push_prose(out, event.fields.message(), guard);
        push_pairs(out, event.fields, &OWN_KEYS, guard);
    }
}

/// The level, and what stands around it.
const fn between_spaces(level: Level) -> &'static str {
    match level {
        Level::ERROR => " ERROR ",
        Level::WARN => " WARN ",
        Level::INFO => " INFO ",
        Level::DEBUG => " DEBUG ",
        Level::TRACE => " TRACE ",
    }
}

/// What a terminal understands as red, yellow, green, blue and dim.
const fn color(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[2m",
    }
}

//! Formats of the program's own, which cannot break a line whatever they write.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing::Level;

use super::digits;
use super::escape::{self, Guard};
use super::fields::{Text, Value};
use super::format::{self, Layout, LineEvent};
use super::out::Out;

/// Writes one event as one line.
///
/// Whatever it writes stays one line: control characters become escapes, the line is cut where it is too long,
/// and a `trace_id=` or `span_id=` that [`Line::ids`] did not write loses its `=` where it could be taken for
/// that of the span. A `{` with which data would begin the line is written `\x7b`, so that data cannot pass for
/// a JSON line; what you [push](Line::push) yourself can. If it panics, the line is written as `text`.
///
/// It may be called several times for one event, with shorter values, until the line fits.
///
/// ```
/// use spanline::log::{Format, Line};
///
/// struct Terse;
///
/// impl Format for Terse {
///     fn write(&self, line: &mut Line<'_>) {
///         let level = line.level();
///         line.push(level.as_str());
///         line.push(" ");
///         if line.has_ids() {
///             line.ids();
///             line.push(" ");
///         }
///         line.message();
///         line.fields();
///     }
/// }
///
/// let _telemetry = spanline::builder("checkout").log_format_with(Terse).init();
/// tracing::info!(sku = 12, "added item"); // INFO added item sku=12
/// ```
///
/// # Panics
///
/// It should not. The line of a panic is written by it, too, and a panic there ends the process, as any panic
/// inside a panic does.
pub trait Format: Send + Sync + 'static {
    /// Writes the line, without a newline.
    fn write(&self, line: &mut Line<'_>);
}

/// A line in the making, and the event that it is made of.
pub struct Line<'a> {
    event: &'a LineEvent<'a>,
    out: &'a mut Out,
    trace: Option<Range<usize>>,
    span: Option<Range<usize>>,
}

impl Line<'_> {
    /// How important the event is.
    pub fn level(&self) -> Level {
        self.event.level
    }

    /// Whether there is an active span.
    pub fn has_ids(&self) -> bool {
        self.event.ids.is_some()
    }

    /// Whether the span is recorded.
    pub fn is_sampled(&self) -> bool {
        self.event.ids.is_some_and(|ids| ids.sampled)
    }

    /// Whether the target is to be written.
    pub fn has_target(&self) -> bool {
        self.event.target.is_some()
    }

    /// Whether it is known where in the source the event is.
    pub fn has_location(&self) -> bool {
        self.event.path.is_some() && self.event.line.is_some()
    }

    /// Whether the message is not empty.
    pub fn has_message(&self) -> bool {
        !self.event.fields.message().kept.is_empty()
    }

    /// Whether there are fields.
    pub fn has_fields(&self) -> bool {
        self.event.fields.count() > 0
    }

    /// Whether there is a field with this name.
    pub fn has_field(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Appends the time, as `2026-11-23T17:28:00.123456Z`.
    pub fn time(&mut self) {
        self.event.time.push_micros(self.out);
    }

    /// Appends `trace_id=T span_id=S`; nothing without a span.
    pub fn ids(&mut self) {
        self.trace_id();
        if self.has_ids() {
            self.push(" ");
        }
        self.span_id();
    }

    /// Appends `trace_id=T`; nothing without a span.
    pub fn trace_id(&mut self) {
        let Some(ids) = self.event.ids else { return };
        let start = self.out.len();
        self.out.push_ascii(b"trace_id=");
        self.out.push_ascii::<32>(&ids.trace_hex());
        self.trace.get_or_insert(start..self.out.len());
    }

    /// Appends `span_id=S`; nothing without a span.
    pub fn span_id(&mut self) {
        let Some(ids) = self.event.ids else { return };
        let start = self.out.len();
        self.out.push_ascii(b"span_id=");
        self.out.push_ascii::<16>(&ids.span_hex());
        self.span.get_or_insert(start..self.out.len());
    }

    /// Appends where the event comes from, such as `checkout::cart`; nothing if that is not to be written.
    pub fn target(&mut self) {
        if let Some(target) = self.event.target {
            self.prose(target);
        }
    }

    /// Appends the source file's name and the line, such as `cart.rs:41`; nothing if they are not known.
    pub fn location(&mut self) {
        if let (Some(file), Some(line)) = (self.event.file(), self.event.line) {
            self.prose(file);
            self.out.push_ascii(b":");
            digits::push_u64(self.out, u64::from(line));
        }
    }

    /// Appends the name of the service.
    pub fn service(&mut self) {
        self.prose(Text::whole(self.event.service_name));
    }

    /// Appends the message.
    pub fn message(&mut self) {
        self.prose(self.event.fields.message());
    }

    /// Appends `key=value` for each field, with spaces between, and one in front if there is none.
    pub fn fields(&mut self) {
        format::push_pairs(self.out, self.event.fields, &[], Guard::Off);
    }

    /// Appends the value of the field with this name, without quotes; nothing if there is none.
    pub fn field(&mut self, name: &str) {
        match self.value(name) {
            Some(Value::Text(text)) => self.prose(text),
            Some(value) => format::push_plain(self.out, value),
            None => {}
        }
    }

    /// Appends the value of the field with this name as JSON, numbers as numbers; `null` if there is none.
    pub fn json_field(&mut self, name: &str) {
        match self.value(name) {
            Some(value) => format::push_json_value(self.out, value),
            None => self.push("null"),
        }
    }

    /// Appends the message as a JSON string, quotes included.
    pub fn json_message(&mut self) {
        escape::push_json(self.out, self.event.fields.message());
    }

    /// Appends text as a JSON string, quotes included.
    pub fn json(&mut self, text: &str) {
        escape::push_json(self.out, Text::whole(text));
    }

    /// Appends `,"key":value` for each field, numbers as numbers. A field named like one of `own_keys`, which
    /// you write yourself, or like an id (`trace_id`, `spanId`) becomes `field_<name>`.
    pub fn json_members(&mut self, own_keys: &[&str]) {
        format::push_members(self.out, self.event.fields, own_keys);
    }

    /// Appends the trace's id as 32 hex digits, without a key; nothing without a span.
    pub fn trace_hex(&mut self) {
        if let Some(ids) = self.event.ids {
            self.out.push_ascii::<32>(&ids.trace_hex());
        }
    }

    /// Appends the span's id as 16 hex digits, without a key; nothing without a span.
    pub fn span_hex(&mut self) {
        if let Some(ids) = self.event.ids {
            self.out.push_ascii::<16>(&ids.span_hex());
        }
    }
}

impl<'a> Line<'a> {
    /// Of fields with one name the first.
    fn value(&self, name: &str) -> Option<Value<'a>> {
        let mut fields = self.event.fields.iter();
        fields.find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Appends data. A line that begins as a JSON object is read as one, with the ids that it names: so a brace
    /// that data would begin the line with becomes an escape.
    fn prose(&mut self, mut text: Text<'_>) {
        if self.out.as_str().trim_start().is_empty()
            && let Some((blanks, rest)) = text.kept.split_once('{')
            && blanks.trim_start().is_empty()
        {
            escape::push_prose(self.out, Text::whole(blanks), Guard::Off);
            self.out.push_ascii(b"\\x7b");
            text.kept = rest;
        }
        escape::push_prose(self.out, text, Guard::Off);
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("so_far", &self.out.as_str()).finish_non_exhaustive()
    }
}

/// Makes a [`Format`] safe.
pub(crate) struct Sealed {
    pub(crate) format: Arc<dyn Format>,
    pub(crate) max_line_bytes: usize,
}

impl Layout for Sealed {
    fn write(&self, event: &LineEvent<'_>, out: &mut Out) {
        let mut draft = Out::default();
        let mut line = Line { event, out: &mut draft, trace: None, span: None };
        let written = catch_unwind(AssertUnwindSafe(|| self.format.write(&mut line)));
        let (trace, span) = (line.trace.take(), line.span.take());
        if written.is_err() {
            format::plain(event, out);
        } else {
            seal(draft.as_str(), [trace, span], out);
        }
        if out.len() > self.max_line_bytes && event.is_last_try {
            cut(event, self.max_line_bytes, out);
        }
    }
}

/// Copies a line, with escapes for what would break it, or pass for ids.
fn seal(line: &str, ids: [Option<Range<usize>>; 2], out: &mut Out) {
    // Data can imitate ids where not both of ours stand to its left.
    let trusted_from = ids.iter().map(|id| id.as_ref().map_or(usize::MAX, |id| id.end)).max();
    let mut ids: Vec<Range<usize>> = ids.into_iter().flatten().collect();
    ids.sort_by_key(|id| id.start);
    let mut at = 0;
    for id in ids {
        escape::push_prose(out, Text::whole(&line[at..id.start]), Guard::On);
        out.push_str(&line[id.clone()]);
        at = id.end;
    }
    let guard = Guard::unless(trusted_from.is_some_and(|from| from <= at));
    escape::push_prose(out, Text::whole(&line[at..]), guard);
}

/// The format itself wrote more than a line may hold: the ids, and as much of it as there is room for.
fn cut(event: &LineEvent<'_>, max_bytes: usize, out: &mut Out) {
    /// Room for ids and for what is said of the cut.
    const RESERVED_BYTES: usize = 128;
    let long = std::mem::take(out);
    let text = Text::whole(long.as_str()).cut_to(max_bytes - RESERVED_BYTES);
    if let Some(ids) = event.ids {
        out.push_ascii(b"[");
        format::push_ids(out, ids);
        out.push_ascii(b"] ");
    }
    out.push_str(text.kept);
    escape::push_cut_mark(out, text);
}

//! An event's message and fields, collected once, in one buffer that is used again for the next.
//!
//! A visitor only lends each value for a moment, while a format needs the message before the fields
//! and may have to write a line twice (when it was too long). So values are copied: numbers as they
//! are, everything else as text into one arena.

use std::error::Error;
use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

use crate::cut::cut;

/// More causes than this are a loop.
const MAX_ERROR_SOURCES: usize = 16;

/// A text, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text<'a> {
    /// What is printed.
    pub(crate) kept: &'a str,
    /// How many bytes are not.
    pub(crate) cut_bytes: usize,
}

impl<'a> Text<'a> {
    /// A text of which nothing is cut.
    pub(crate) const fn whole(text: &'a str) -> Self {
        Self { kept: text, cut_bytes: 0 }
    }

    /// The same text with at most `max_bytes` kept.
    pub(crate) fn cut_to(self, max_bytes: usize) -> Self {
        let kept = cut(self.kept, max_bytes);
        Self { kept, cut_bytes: self.cut_bytes + self.kept.len() - kept.len() }
    }
}

/// A field's value, with the type that it had in the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Text<'a>),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Bool(bool),
}

/// The message and the fields of one event.
#[derive(Debug)]
pub(crate) struct Fields {
    arena: String,
    message: Piece,
    entries: Vec<(Name, Stored)>,
    max_value_bytes: usize,
    is_from_log_crate: bool,
}

/// What a field is called.
#[derive(Clone, Copy, Debug)]
enum Name {
    Static(&'static str),
    /// A range of the arena.
    Stored {
        start: usize,
        bytes: usize,
    },
}

/// A range of the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    start: usize,
    /// What the arena holds.
    stored_bytes: usize,
    /// What of that is to be printed.
    kept_bytes: usize,
    /// What the whole text had.
    full_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Text(Piece),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Bool(bool),
}

/// Names the message or one of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Message,
    Entry(usize),
}

/// A name that is made at run time is cut here.
const MAX_NAME_BYTES: usize = 256;

/// An arena that one huge event has made larger than this is not kept.
const KEPT_ARENA_BYTES: usize = 64 * 1024;

impl Fields {
    pub(crate) fn new() -> Self {
        Self {
            arena: String::new(),
            message: Piece::default(),
            entries: Vec::new(),
            max_value_bytes: 0,
            is_from_log_crate: false,
        }
    }

    /// Forgets the last event. Of each value that comes, at most `max_value_bytes` are stored.
    pub(crate) fn reset(&mut self, max_value_bytes: usize, is_from_log_crate: bool) {
        self.arena.clear();
        if self.arena.capacity() > KEPT_ARENA_BYTES {
            self.arena.shrink_to(KEPT_ARENA_BYTES);
        }
        self.message = Piece::default();
        self.entries.clear();
        self.max_value_bytes = max_value_bytes;
        self.is_from_log_crate = is_from_log_crate;
    }

    pub(crate) fn message(&self) -> Text<'_> {
        self.text(self.message)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.entries.iter().map(|(name, stored)| (self.name(name), self.value(stored)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One field by its number; nothing beyond the last. For the hottest loop, where the iterator above would be a
    /// call for each field.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<(&str, Value<'_>)> {
        let (name, stored) = self.entries.get(index)?;
        Some((self.name(name), self.value(stored)))
    }

    #[inline]
    fn name(&self, name: &Name) -> &str {
        match *name {
            Name::Static(name) => name,
            Name::Stored { start, bytes } => &self.arena[start..start + bytes],
        }
    }

    #[inline]
    fn value(&self, stored: &Stored) -> Value<'_> {
        match *stored {
            Stored::Text(piece) => Value::Text(self.text(piece)),
            Stored::I64(number) => Value::I64(number),
            Stored::U64(number) => Value::U64(number),
            Stored::I128(number) => Value::I128(number),
            Stored::U128(number) => Value::U128(number),
            Stored::F64(number) => Value::F64(number),
            Stored::Bool(truth) => Value::Bool(truth),
        }
    }

    pub(crate) fn set_message(&mut self, message: fmt::Arguments<'_>) {
        self.message = self.store(message);
    }

    pub(crate) fn add_u64(&mut self, name: &'static str, number: u64) {
        self.entries.push((Name::Static(name), Stored::U64(number)));
    }

    /// How many fields there are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn add(&mut self, name: &str, value: Value<'_>) {
        let name = self.store_name(name);
        let stored = match value {
            Value::Text(text) => Stored::Text(self.store_text(text)),
            Value::I64(number) => Stored::I64(number),
            Value::U64(number) => Stored::U64(number),
            Value::I128(number) => Stored::I128(number),
            Value::U128(number) => Stored::U128(number),
            Value::F64(number) => Stored::F64(number),
            Value::Bool(truth) => Stored::Bool(truth),
        };
        self.entries.push((name, stored));
    }

    pub(crate) fn add_display(&mut self, name: &str, text: fmt::Arguments<'_>) {
        let name = self.store_name(name);
        let piece = self.store(text);
        self.entries.push((name, Stored::Text(piece)));
    }

    pub(crate) fn add_error(&mut self, name: &str, error: &(dyn Error + 'static)) {
        self.add_display(name, format_args!("{}", WithSources(error)));
    }

    pub(crate) fn add_text(&mut self, name: &'static str, text: &str) {
        let piece = self.store_str(text);
        self.entries.push((Name::Static(name), Stored::Text(piece)));
    }

    /// The text of which most is printed, with the number of its bytes.
    pub(crate) fn longest(&self) -> Option<(Place, usize)> {
        let entries =
            self.entries.iter().enumerate().filter_map(|(index, (_, stored))| match stored {
                Stored::Text(piece) => Some((Place::Entry(index), piece.kept_bytes)),
                _ => None,
            });
        let message = (Place::Message, self.message.kept_bytes);
        std::iter::once(message).chain(entries).max_by_key(|(_, bytes)| *bytes)
    }

    /// Prints at most `kept_bytes` of a text from now on.
    pub(crate) fn keep(&mut self, place: Place, kept_bytes: usize) {
        let piece = match place {
            Place::Message => &mut self.message,
            Place::Entry(index) => match self.entries.get_mut(index) {
                Some((_, Stored::Text(piece))) => piece,
                _ => return,
            },
        };
        let stored = &self.arena[piece.start..piece.start + piece.stored_bytes];
        piece.kept_bytes = cut(stored, kept_bytes).len();
    }

    /// Forgets the last field; `false` if there is none.
    pub(crate) fn pop(&mut self) -> bool {
        self.entries.pop().is_some()
    }

    #[inline]
    fn text(&self, piece: Piece) -> Text<'_> {
        let kept = self.arena.get(piece.start..piece.start + piece.kept_bytes).unwrap_or_default();
        Text { kept, cut_bytes: piece.full_bytes - piece.kept_bytes }
    }

    fn store(&mut self, text: fmt::Arguments<'_>) -> Piece {
        if let Some(text) = text.as_str() {
            return self.store_str(text);
        }
        let start = self.arena.len();
        let mut sink = Bounded { room: self.max_value_bytes, full_bytes: 0, out: &mut self.arena };
        // Only a value's own `Debug` or `Display` can fail; what it wrote before is worth having.
        let _ = sink.write_fmt(text);
        let full_bytes = sink.full_bytes;
        self.piece_from(start, full_bytes)
    }

    fn store_str(&mut self, text: &str) -> Piece {
        let start = self.arena.len();
        self.arena.push_str(cut(text, self.max_value_bytes));
        self.piece_from(start, text.len())
    }

    /// A text of which something may have been cut before.
    fn store_text(&mut self, text: Text<'_>) -> Piece {
        let piece = self.store_str(text.kept);
        Piece { full_bytes: piece.full_bytes + text.cut_bytes, ..piece }
    }

    fn store_name(&mut self, name: &str) -> Name {
        let name = cut(name, MAX_NAME_BYTES);
        let start = self.arena.len();
        self.arena.push_str(name);
        Name::Stored { start, bytes: name.len() }
    }

    fn piece_from(&self, start: usize, full_bytes: usize) -> Piece {
        let stored_bytes = self.arena.len() - start;
        Piece { start, stored_bytes, kept_bytes: stored_bytes, full_bytes }
    }

    fn add_field(&mut self, field: &Field, stored: Stored) {
        self.entries.push((Name::Static(field.name()), stored));
    }

    /// What the `log` crate's bridge puts on its events is the record's metadata, not a field.
    fn is_metadata(&self, field: &Field) -> bool {
        self.is_from_log_crate && field.name().starts_with("log.")
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add_field(field, Stored::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_field(field, Stored::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !self.is_metadata(field) {
            self.add_field(field, Stored::U64(value));
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add_field(field, Stored::I128(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add_field(field, Stored::U128(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add_field(field, Stored::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if self.is_metadata(field) {
            return;
        }
        let piece = self.store_str(value);
        if field.name() == "message" {
            self.message = piece;
        } else {
            self.add_field(field, Stored::Text(piece));
        }
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.record_debug(field, &format_args!("{}", Hex(value)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", WithSources(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let piece = self.store(format_args!("{value:?}"));
        if field.name() == "message" {
            self.message = piece;
        } else {
            self.add_field(field, Stored::Text(piece));
        }
    }
}

/// Counts everything, and stores what there is room for.
struct Bounded<'a> {
    room: usize,
    full_bytes: usize,
    out: &'a mut String,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.full_bytes += text.len();
        let stored = cut(text, self.room);
        self.out.push_str(stored);
        // Once something did not fit, nothing that follows may be glued to what did.
        self.room = if stored.len() == text.len() { self.room - stored.len() } else { 0 };
        Ok(())
    }
}

/// An error and its causes, joined by colons.
struct WithSources<'a>(&'a (dyn Error + 'static));

impl fmt::Display for WithSources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let sources = std::iter::successors(self.0.source(), |error| (*error).source());
        for source in sources.take(MAX_ERROR_SOURCES) {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

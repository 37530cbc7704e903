//! Fields that an event does not bring along: the hook's, those of its spans, fixed ones.
//!
//! One rule for names: what is nearest to the event wins. Its own fields come before the hook's, these before
//! those of its span, these before those of the span around it, and so on outwards; fixed fields come last,
//! with `thread` and `location`. A field whose name is on the line already is left out.

use tracing::Level;
use tracing::span::{Attributes, Record};

use super::fields::{Fields, Text, Value};

/// More fields than this on one line are left out.
pub(super) const MAX_FIELDS: usize = 256;
/// Of each text that a span keeps for its lines.
const MAX_SPAN_VALUE_BYTES: usize = 4_096;

/// A value that is on every line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FixedValue {
    /// Text.
    Text(String),
    /// A whole number.
    I64(i64),
    /// A whole number that is not negative.
    U64(u64),
    /// A number.
    F64(f64),
    /// True or false.
    Bool(bool),
}

macro_rules! fixed_from {
    ($($from:ty => $kind:ident),*) => {$(
        impl From<$from> for FixedValue {
            fn from(value: $from) -> Self {
                Self::$kind(value.into())
            }
        }
    )*};
}

fixed_from!(
    &str => Text, String => Text, i32 => I64, i64 => I64, u32 => U64, u64 => U64, f64 => F64, bool => Bool
);

/// An event whose line is being made, for [`Builder::log_hook`](crate::Builder::log_hook).
#[derive(Debug)]
pub struct Extra<'a> {
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) fields: &'a mut Fields,
}

impl Extra<'_> {
    /// How important the event is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Where it comes from.
    pub fn target(&self) -> &str {
        self.target
    }

    /// Adds a field, unless the event has one of this name.
    pub fn add(&mut self, name: &str, value: impl Into<FixedValue>) {
        add(self.fields, name, &value.into());
    }
}

/// Adds a field, unless there is one of this name.
pub(crate) fn add(fields: &mut Fields, name: &str, value: &FixedValue) {
    let value = match value {
        FixedValue::Text(text) => Value::Text(Text::whole(text)),
        FixedValue::I64(number) => Value::I64(*number),
        FixedValue::U64(number) => Value::U64(*number),
        FixedValue::F64(number) => Value::F64(*number),
        FixedValue::Bool(truth) => Value::Bool(*truth),
    };
    add_value(fields, name, value);
}

pub(crate) fn add_value(fields: &mut Fields, name: &str, value: Value<'_>) {
    if fields.count() < MAX_FIELDS && !fields.iter().any(|(known, _)| known == name) {
        fields.add(name, value);
    }
}

/// The fields of a span, kept with it for the lines of its events.
#[derive(Debug)]
pub(crate) struct SpanFields(Fields);

impl SpanFields {
    pub(crate) fn of(attributes: &Attributes<'_>) -> Self {
        let mut fields = Fields::new();
        fields.reset(MAX_SPAN_VALUE_BYTES, false);
        attributes.record(&mut fields);
        Self(fields)
    }

    /// What was recorded later wins over what was known before.
    pub(crate) fn record(&mut self, newer: &Self) {
        let mut fields = Fields::new();
        fields.reset(MAX_SPAN_VALUE_BYTES, false);
        newer.add_to(&mut fields);
        self.add_to(&mut fields);
        self.0 = fields;
    }

    pub(crate) fn of_record(values: &Record<'_>) -> Self {
        let mut fields = Fields::new();
        fields.reset(MAX_SPAN_VALUE_BYTES, false);
        values.record(&mut fields);
        Self(fields)
    }

    pub(crate) fn add_to(&self, fields: &mut Fields) {
        let message = self.0.message();
        if !message.kept.is_empty() {
            add_value(fields, "message", Value::Text(message));
        }
        for (name, value) in self.0.iter() {
            add_value(fields, name, value);
        }
    }
}

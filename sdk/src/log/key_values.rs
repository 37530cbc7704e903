//! The key-values of the `log` crate's records.
//!
//! A `tracing` event's fields are named at compile time, so an event has no place for them. They are put aside,
//! on the thread, while the event that is made of their record is dispatched.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Display;

use log::kv::{self, Key, VisitSource, VisitValue};
use opentelemetry::KeyValue;

use super::extra;
use super::fields::{Fields, Value};
use super::options::MAX_LINE_BYTES;

thread_local! {
    static ASIDE: Cell<Option<Box<Fields>>> = const { Cell::new(None) };
}

/// Dispatches a record with its key-values put aside. A record that is logged meanwhile, by a filter or by another
/// layer, does not see them.
pub(crate) fn put_aside(record: &log::Record<'_>, dispatch: impl FnOnce()) {
    let _restore = Restore(swap(collected(record.key_values())));
    dispatch();
}

/// Those of the record that is being dispatched, for an OpenTelemetry event; its line still takes them.
pub(crate) fn attributes() -> Vec<KeyValue> {
    let Some(fields) = swap(None) else { return Vec::new() };
    let attributes = fields.iter().map(|(name, value)| KeyValue::new(name.to_owned(), any(value)));
    let attributes = attributes.collect();
    swap(Some(fields));
    attributes
}

/// OpenTelemetry has one kind of whole numbers; those that are larger are told as text.
fn any(value: Value<'_>) -> opentelemetry::Value {
    fn whole<N: Copy + Display + TryInto<i64>>(number: N) -> opentelemetry::Value {
        number.try_into().map_or_else(|_| number.to_string().into(), opentelemetry::Value::I64)
    }
    match value {
        Value::Text(text) => text.kept.to_owned().into(),
        Value::I64(number) => number.into(),
        Value::U64(number) => whole(number),
        Value::I128(number) => whole(number),
        Value::U128(number) => whole(number),
        Value::F64(number) => number.into(),
        Value::Bool(truth) => truth.into(),
    }
}

/// Those of the record that is being dispatched.
pub(super) fn taken() -> Option<Box<Fields>> {
    swap(None)
}

/// Puts back what was there before, also when a value's own code panics.
struct Restore(Option<Box<Fields>>);

impl Drop for Restore {
    fn drop(&mut self) {
        swap(self.0.take());
    }
}

fn swap(new: Option<Box<Fields>>) -> Option<Box<Fields>> {
    // In a thread that is being torn down there is no place to put them.
    ASIDE.try_with(|aside| aside.replace(new)).ok().flatten()
}

fn collected(source: &dyn kv::Source) -> Option<Box<Fields>> {
    if source.count() == 0 {
        return None;
    }
    let mut fields = Box::new(Fields::new());
    fields.reset(MAX_LINE_BYTES, false);
    // What a value's own code could say before it failed is worth having.
    let _ = source.visit(&mut Collector(&mut fields));
    Some(fields)
}

struct Collector<'a>(&'a mut Fields);

impl<'kvs> VisitSource<'kvs> for Collector<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if self.0.count() == extra::MAX_FIELDS {
            return Ok(());
        }
        value.visit(Named { name: key.as_str(), fields: self.0 })
    }
}

/// Keeps a value with the type that it has.
struct Named<'a> {
    name: &'a str,
    fields: &'a mut Fields,
}

impl Named<'_> {
    fn add(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.fields.add(self.name, value);
        Ok(())
    }
}

impl VisitValue<'_> for Named<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.fields.add_display(self.name, format_args!("{value}"));
        Ok(())
    }

    /// As `tracing` has it: what is `None` is no field.
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.add(Value::U64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.add(Value::I64(value))
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.add(Value::U128(value))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.add(Value::I128(value))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.add(Value::F64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.add(Value::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.fields.add_display(self.name, format_args!("{value}"));
        Ok(())
    }

    fn visit_error(&mut self, error: &(dyn Error + 'static)) -> Result<(), kv::Error> {
        self.fields.add_error(self.name, error);
        Ok(())
    }

    fn visit_borrowed_error(&mut self, error: &(dyn Error + 'static)) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}

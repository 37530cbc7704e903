//! What may be changed about lines besides the name of their format.

use std::fmt;
use std::sync::Arc;

use super::extra::{Extra, FixedValue};
use super::own::Format;
use super::template::Template;
use super::time::LogTime;
use crate::error::Fault;
use crate::vars::Reader;

/// No cap below this: what is never left out must have room, even if every byte of it is escaped.
pub(crate) const MIN_LINE_BYTES: usize = 4_096;
/// No cap above this: the queue has to hold lines, not one line.
pub(super) const MAX_LINE_BYTES: usize = 1024 * 1024;

/// What the builder was told; then, once read, what is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineOptions {
    pub(crate) template: Option<String>,
    pub(crate) own: Option<Own<dyn Format>>,
    pub(crate) max_line_bytes: Option<usize>,
    pub(crate) time: Option<LogTime>,
    pub(crate) colors: Option<bool>,
    pub(crate) target: Option<bool>,
    pub(crate) location: Option<bool>,
    pub(crate) thread: Option<bool>,
    pub(crate) span_fields: Option<bool>,
    pub(crate) fields: Vec<(String, FixedValue)>,
    pub(crate) hook: Option<Own<Hook>>,
}

/// Adds fields to an event's line.
pub(crate) type Hook = dyn Fn(&mut Extra<'_>) + Send + Sync;

/// Code of the program's own.
pub(crate) struct Own<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized> Clone for Own<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> fmt::Debug for Own<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("code of the program's own")
    }
}

impl LineOptions {
    /// What the environment says where the builder says nothing.
    pub(crate) fn read(&self, has_format: bool, reader: &mut Reader<'_>) -> Self {
        let mut options = self.clone();
        let mut setting = "the builder's log_template";
        if !has_format && options.template.is_none() && options.own.is_none() {
            setting = "SPANLINE_LOG_TEMPLATE";
            options.template = reader.text(setting);
        }
        if let Some(text) = options.template.take() {
            match text.parse::<Template>() {
                Ok(_) => options.template = Some(text),
                Err(accepted) => reader.fault(Fault::new(setting, text, accepted)),
            }
        }
        options.max_line_bytes = options.max_line_bytes.or_else(|| {
            let setting = "SPANLINE_LOG_MAX_LINE_BYTES";
            let bytes = reader.count(setting)?;
            let is_possible = (MIN_LINE_BYTES..=MAX_LINE_BYTES).contains(&bytes);
            if !is_possible {
                reader.fault(Fault::new(setting, bytes.to_string(), "4096 to 1048576"));
            }
            is_possible.then_some(bytes)
        });
        options.max_line_bytes =
            options.max_line_bytes.map(|bytes| bytes.clamp(MIN_LINE_BYTES, MAX_LINE_BYTES));
        options.time = options.time.or_else(|| reader.parse("SPANLINE_LOG_TIME", "utc, local"));
        options.colors = options.colors.or_else(|| reader.text("NO_COLOR").map(|_| false));
        options.target = options.target.or_else(|| reader.boolean("SPANLINE_LOG_TARGET"));
        options.location = options.location.or_else(|| reader.boolean("SPANLINE_LOG_LOCATION"));
        options.thread = options.thread.or_else(|| reader.boolean("SPANLINE_LOG_THREAD"));
        options.span_fields =
            options.span_fields.or_else(|| reader.boolean("SPANLINE_LOG_SPAN_FIELDS"));
        if let Some(text) = reader.text("SPANLINE_LOG_FIELDS") {
            let pairs: Option<Vec<_>> = text.split(',').map(fixed_pair).collect();
            match pairs {
                Some(pairs) => options.fields.extend(pairs),
                None => {
                    let accepted = "name=value,name=value";
                    reader.fault(Fault::new("SPANLINE_LOG_FIELDS", text, accepted));
                }
            }
        }
        options
    }
}

fn fixed_pair(pair: &str) -> Option<(String, FixedValue)> {
    let (name, value) = pair.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.trim().into()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(vars: &[(&'static str, &'static str)]) -> (LineOptions, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let options = LineOptions::default().read(false, &mut reader);
        (options, reader.into_faults())
    }

    #[test]
    fn everything_can_be_said_by_variables() {
        let (options, faults) = read(&[
            ("SPANLINE_LOG_TEMPLATE", "{level} {message}"),
            ("SPANLINE_LOG_MAX_LINE_BYTES", "8000"),
            ("SPANLINE_LOG_TIME", "local"),
            ("SPANLINE_LOG_TARGET", "false"),
            ("SPANLINE_LOG_LOCATION", "true"),
            ("SPANLINE_LOG_THREAD", "true"),
            ("SPANLINE_LOG_SPAN_FIELDS", "true"),
            ("SPANLINE_LOG_FIELDS", "region=eu-1, shard=a=b"),
            ("NO_COLOR", "1"),
        ]);
        assert_eq!(faults, []);
        assert_eq!(options.template.as_deref(), Some("{level} {message}"));
        assert_eq!((options.max_line_bytes, options.time), (Some(8_000), Some(LogTime::Local)));
        assert_eq!((options.target, options.location), (Some(false), Some(true)));
        assert_eq!((options.thread, options.span_fields), (Some(true), Some(true)));
        assert_eq!(options.colors, Some(false));
        let names: Vec<_> = options.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["region", "shard"]);
    }

    #[test]
    fn every_wrong_variable_is_named() {
        let wrong = [
            ("SPANLINE_LOG_TEMPLATE", "{nonsense}"),
            ("SPANLINE_LOG_MAX_LINE_BYTES", "100"),
            ("SPANLINE_LOG_TIME", "gmt"),
            ("SPANLINE_LOG_TARGET", "yes"),
            ("SPANLINE_LOG_FIELDS", "region"),
        ];
        let (options, faults) = read(&wrong);
        let named: Vec<_> = faults.iter().map(|fault| fault.setting).collect();
        assert_eq!(named, wrong.map(|(name, _)| name));
        assert!(options.template.is_none() && options.fields.is_empty());
    }
}

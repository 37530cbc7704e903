//! `severity_parser`: the severity that a field's text or whole number means; what means none leaves only its text.

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::Unfit;
use super::entry::Entry;
use crate::config::{SEVERITIES, Severity};

pub(super) fn set(entry: &mut Entry, severity: &Severity) -> Result<(), Unfit> {
    let text = match entry.text(&severity.from) {
        Some(text) => text.to_owned(),
        None => match entry.get(&severity.from).and_then(|value| value.value) {
            Some(Value::IntValue(number)) => number.to_string(),
            #[expect(clippy::cast_possible_truncation, reason = "whole, and small or no severity")]
            Some(Value::DoubleValue(number)) if number.fract() == 0.0 => {
                (number as i64).to_string()
            }
            _ => return Err(Unfit),
        },
    };
    let number = severity.numbers.get(&text.to_lowercase()).copied();
    entry.record.severity_number = number.unwrap_or(0);
    let name = number.and_then(|number| SEVERITIES.get(usize::try_from(number - 1).ok()?));
    entry.record.severity_text = match name {
        Some(name) if severity.overwrite_text => name.to_uppercase(),
        _ => text,
    };
    Ok(())
}

//! A line through the operators that the configuration names, from one to the next, until it is a record.
//!
//! An entry that an operator cannot handle goes on as it was, or is dropped, as the configuration has it.

mod entry;
mod json_parser;
mod regex_parser;
mod retain;
mod timestamp;

pub use entry::Entry;

use std::sync::Arc;

use self::regex_parser::Cache;
use crate::config::{OnError, Operator, OperatorKind, Parse};

/// The operators of one file, with what they remember.
#[derive(Debug)]
pub struct Operators {
    operators: Arc<[Operator]>,
    /// For each `regex_parser`, what it found in the texts that it saw last.
    caches: Vec<Cache>,
}

/// An operator could not handle an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit;

impl Operators {
    /// Operators that remember nothing yet.
    pub fn new(operators: Arc<[Operator]>) -> Self {
        let size = |operator: &Operator| match &operator.kind {
            OperatorKind::Regex { cache, .. } => *cache,
            _ => 0,
        };
        let caches = operators.iter().map(|operator| Cache::new(size(operator))).collect();
        Self { operators, caches }
    }

    /// What the operators make of an entry; `None` when they drop it.
    pub fn run(&mut self, mut entry: Entry) -> Option<Entry> {
        let mut at = (!self.operators.is_empty()).then_some(0);
        // The configuration has no circles.
        while let Some(now) = at {
            let operator = &self.operators[now];
            at = operator.next;
            let done = match &operator.kind {
                OperatorKind::Router { routes } => {
                    let holds = |condition: &crate::config::Condition| {
                        entry
                            .text(&condition.field)
                            .is_some_and(|text| condition.regex.is_match(text))
                    };
                    let (_, next) = routes.iter().find(|(condition, _)| holds(condition))?;
                    at = *next;
                    Ok(())
                }
                OperatorKind::Noop => Ok(()),
                OperatorKind::Add { field, value } => {
                    entry.set(field, value.into());
                    Ok(())
                }
                OperatorKind::Copy { from, to } => {
                    entry.get(from).map(|value| entry.set(to, value)).ok_or(Unfit)
                }
                OperatorKind::Move { from, to } => {
                    entry.take(from).map(|value| entry.set(to, value)).ok_or(Unfit)
                }
                OperatorKind::Remove { field } => entry.take(field).map(drop).ok_or(Unfit),
                OperatorKind::Retain { fields } => {
                    retain::only(&mut entry, fields);
                    Ok(())
                }
                OperatorKind::Json(parse) => {
                    json_parser::run(&mut entry, parse).and_then(|()| time(&mut entry, parse))
                }
                OperatorKind::Regex { regex, parse, .. } => {
                    let found = regex_parser::run(&mut entry, regex, parse, &mut self.caches[now]);
                    found.and_then(|()| time(&mut entry, parse))
                }
            };
            if done.is_err() && operator.on_error == OnError::Drop {
                return None;
            }
        }
        Some(entry)
    }
}

fn time(entry: &mut Entry, parse: &Parse) -> Result<(), Unfit> {
    let Some(time) = &parse.time else { return Ok(()) };
    let nanos = entry.text(&time.from).and_then(|text| timestamp::unix_nanos(text, &time.layout));
    entry.record.time_unix_nano = nanos.ok_or(Unfit)?;
    Ok(())
}

#[cfg(test)]
mod tests;

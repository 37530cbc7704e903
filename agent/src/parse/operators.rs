//! A line through the operators that the configuration names, from one to the next, until it is a record.
//!
//! An entry that an operator cannot handle goes on as it was, or is dropped, as the configuration has it. Two of them hold entries
//! back (`container`, `recombine`), until those that belong to them have come.

mod container;
mod entry;
mod expr;
mod filter;
mod json_parser;
mod key_value_parser;
mod recombine;
mod regex_parser;
mod report;
mod retain;
mod severity;
mod spanline_parser;
mod timestamp;
mod trace;

pub use entry::Entry;

use std::sync::Arc;
use std::time::Duration;

use self::container::Containers;
use self::recombine::Batches;
use self::regex_parser::Cache;
use self::report::Report;
use crate::config::{Added, Operator, OperatorKind, Parse};

/// The operators of one file, with what they remember.
#[derive(Debug)]
pub struct Operators {
    operators: Arc<[Operator]>,
    memories: Vec<Memory>,
    report: Report,
    dropped: u64,
}

/// What an operator remembers from one entry to the next.
#[derive(Debug)]
enum Memory {
    Nothing,
    Regex(Cache),
    Container(Box<Containers>),
    Recombine(Batches),
}

/// An operator could not handle an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit;

/// What an operator did with an entry.
enum Step {
    /// It goes on.
    On(Entry),
    /// It is held back, and what was held before it may go on.
    Held(Vec<Entry>),
    /// It is dropped, as it was meant to be.
    Dropped,
    /// It goes on somewhere else.
    To(Entry, Option<usize>),
    /// It could not be handled; it is here as it was left.
    Failed(Entry),
}

impl Operators {
    /// Operators that remember nothing yet.
    pub fn new(operators: Arc<[Operator]>) -> Self {
        let memory = |operator: &Operator| match &operator.kind {
            OperatorKind::Regex { cache, .. } => Memory::Regex(Cache::new(*cache)),
            OperatorKind::Container(_) => Memory::Container(Box::default()),
            OperatorKind::Recombine(_) => Memory::Recombine(Batches::default()),
            _ => Memory::Nothing,
        };
        let memories = operators.iter().map(memory).collect();
        Self { operators, memories, report: Report::default(), dropped: 0 }
    }

    /// Appends what the operators make of an entry, and of entries before it that it lets go.
    pub fn run(&mut self, entry: Entry, out: &mut Vec<Entry>) {
        self.go_on((!self.operators.is_empty()).then_some(0), entry, out);
    }

    /// Appends what has been held back: nothing more belongs to it.
    pub fn flush(&mut self, out: &mut Vec<Entry>) {
        for at in 0..self.operators.len() {
            let held = match &mut self.memories[at] {
                Memory::Container(containers) => containers.flush(),
                Memory::Recombine(batches) => batches.flush(),
                _ => continue,
            };
            for entry in held {
                self.go_on(self.operators[at].next, entry, out);
            }
        }
    }

    /// The line with which the oldest entry began that is held back.
    pub fn oldest_held(&self) -> Option<u64> {
        let oldest = |memory: &Memory| match memory {
            Memory::Container(containers) => containers.oldest(),
            Memory::Recombine(batches) => batches.oldest(),
            _ => None,
        };
        self.memories.iter().filter_map(oldest).min()
    }

    /// How long an entry may be held back while nothing that belongs to it comes; `None` where it is not told.
    pub fn patience(operators: &[Operator]) -> Option<Duration> {
        let patience = |operator: &Operator| match &operator.kind {
            OperatorKind::Recombine(recombine) => Some(recombine.force_flush_period),
            _ => None,
        };
        operators.iter().filter_map(patience).min()
    }

    /// How many entries were dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn go_on(&mut self, mut at: Option<usize>, mut entry: Entry, out: &mut Vec<Entry>) {
        let operators = Arc::clone(&self.operators);
        // The configuration has no circles.
        while let Some(now) = at {
            let operator = &operators[now];
            at = operator.next;
            let step = match operator.condition.as_ref().map(|when| expr::holds(when, &entry)) {
                Some(Ok(false)) => Step::On(entry),
                Some(Err(Unfit)) => Step::Failed(entry),
                None | Some(Ok(true)) => step(&operator.kind, &mut self.memories[now], entry),
            };
            match step {
                Step::On(same) => entry = same,
                Step::To(same, next) => (entry, at) = (same, next),
                Step::Failed(same) => {
                    self.report.failed(operator, &same);
                    if operator.on_error.drop {
                        self.dropped += 1;
                        return;
                    }
                    entry = same;
                }
                Step::Dropped => {
                    self.dropped += 1;
                    return;
                }
                Step::Held(freed) => {
                    for entry in freed {
                        self.go_on(at, entry, out);
                    }
                    return;
                }
            }
        }
        out.push(entry);
    }
}

fn step(kind: &OperatorKind, memory: &mut Memory, mut entry: Entry) -> Step {
    let done = match (kind, memory) {
        (OperatorKind::Container(settings), Memory::Container(containers)) => {
            return containers.take(settings, entry);
        }
        (OperatorKind::Recombine(settings), Memory::Recombine(batches)) => {
            return batches.take(settings, entry);
        }
        (OperatorKind::Router { routes }, _) => {
            // A condition that cannot be computed does not hold.
            let holds =
                |condition: &crate::config::Expr| expr::holds(condition, &entry) == Ok(true);
            let route = routes.iter().find(|(condition, _)| condition.as_ref().is_none_or(holds));
            return route.map_or(Step::Dropped, |(_, next)| Step::To(entry, *next));
        }
        (OperatorKind::Filter { condition, drop_per_mille }, _) => {
            return match expr::holds(condition, &entry) {
                Ok(true) if filter::drops(*drop_per_mille) => Step::Dropped,
                Ok(_) => Step::On(entry),
                Err(Unfit) => Step::Failed(entry),
            };
        }
        (OperatorKind::Add { field, value }, _) => {
            let value = match value {
                Added::Constant(constant) => Ok(constant.into()),
                Added::Computed(expr) => expr::value(expr, &entry),
            };
            value.map(|value| entry.set(field, value))
        }
        (OperatorKind::Copy { from, to }, _) => {
            entry.get(from).map(|value| entry.set(to, value)).ok_or(Unfit)
        }
        (OperatorKind::Move { from, to }, _) => {
            entry.take(from).map(|value| entry.set(to, value)).ok_or(Unfit)
        }
        (OperatorKind::Remove { field }, _) => entry.take(field).map(drop).ok_or(Unfit),
        (OperatorKind::Retain { fields }, _) => {
            retain::only(&mut entry, fields);
            Ok(())
        }
        (OperatorKind::Json { parse_ints, parse }, _) => {
            let done = json_parser::run(&mut entry, *parse_ints, parse);
            done.and_then(|()| blocks(&mut entry, parse))
        }
        (OperatorKind::KeyValue { delimiter, pair_delimiter, parse }, _) => {
            let done = key_value_parser::run(&mut entry, delimiter, pair_delimiter, parse);
            done.and_then(|()| blocks(&mut entry, parse))
        }
        (OperatorKind::Regex { regex, parse, .. }, Memory::Regex(cache)) => {
            let done = regex_parser::run(&mut entry, regex, parse, cache);
            done.and_then(|()| blocks(&mut entry, parse))
        }
        (OperatorKind::Severity(severity), _) => severity::set(&mut entry, severity),
        (OperatorKind::Spanline, _) => spanline_parser::run(&mut entry),
        (OperatorKind::Time(time), _) => timestamp::set(&mut entry, time),
        (OperatorKind::Trace(trace), _) => trace::set(&mut entry, trace),
        // The memory of each is made for its kind.
        (
            OperatorKind::Noop
            | OperatorKind::Container(_)
            | OperatorKind::Recombine(_)
            | OperatorKind::Regex { .. },
            _,
        ) => Ok(()),
    };
    match done {
        Ok(()) => Step::On(entry),
        Err(Unfit) => Step::Failed(entry),
    }
}

/// The blocks that a parser may have; each is tried, whether another one fits or not.
fn blocks(entry: &mut Entry, parse: &Parse) -> Result<(), Unfit> {
    if let Some(body) = parse.body.as_ref().and_then(|field| entry.get(field)) {
        entry.replace_body(body);
    }
    let time = parse.time.as_ref().map_or(Ok(()), |time| timestamp::set(entry, time));
    let severity = parse.severity.as_ref().map_or(Ok(()), |set| severity::set(entry, set));
    let trace = parse.trace.as_ref().map_or(Ok(()), |trace| trace::set(entry, trace));
    time.and(severity).and(trace)
}

#[cfg(test)]
mod tests;

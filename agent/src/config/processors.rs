//! The processors' settings.

use std::time::Duration;

use super::component::{ALL_SIGNALS, Kind};
use super::constant::{self, Constant};
use super::section::Section;

/// A processor and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Processor {
    /// Changes the attributes of spans, records and data points.
    Attributes(Vec<Action>),
    /// Makes larger batches of small ones.
    Batch(BatchSettings),
    /// Takes nothing while the agent's memory is above a limit.
    MemoryLimiter(MemoryLimit),
    /// Changes the attributes of whoever sent them.
    Resource(Vec<Action>),
}

/// The `batch` processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// How long the oldest may wait.
    pub timeout: Duration,
    /// Spans, records or data points that are enough.
    pub send_batch_size: usize,
}

/// The `memory_limiter` processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimit {
    /// How often memory is measured.
    pub check_interval: Duration,
    /// How much may be in use.
    pub most: MemoryBound,
}

/// A limit, and how far below it taking ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryBound {
    /// In MiB.
    Mib {
        /// The limit.
        limit: u64,
        /// What may come between two measurements.
        spike: u64,
    },
    /// In hundredths of what there is for the process.
    Percent {
        /// The limit.
        limit: u64,
        /// What may come between two measurements.
        spike: u64,
    },
}

/// A change of one attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The attribute's name.
    pub key: String,
    /// What is done with it.
    pub change: Change,
}

/// What is done with an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is set where it is missing.
    Insert(Source),
    /// It is set where it is there.
    Update(Source),
    /// It is set.
    Upsert(Source),
    /// It is taken away.
    Delete,
}

/// Where a new value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// From the configuration.
    Value(Constant),
    /// From another attribute; without it nothing is done.
    Attribute(String),
}

pub(super) const KINDS: &[Kind<Processor>] = &[
    Kind {
        name: "attributes",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: |section| actions(section, "actions").map(Processor::Attributes),
        sample: "actions: [{key: k, action: insert, value: v}]",
    },
    Kind { name: "batch", aliases: &[], signals: ALL_SIGNALS, read: batch, sample: "{}" },
    Kind {
        name: "memory_limiter",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: memory_limiter,
        sample: "{check_interval: 1s, limit_mib: 100}",
    },
    Kind {
        name: "resource",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: |section| actions(section, "attributes").map(Processor::Resource),
        sample: "attributes: [{key: k, action: insert, value: v}]",
    },
];

fn batch(section: &mut Section<'_>) -> Option<Processor> {
    let timeout = section.duration("timeout", Duration::from_millis(200));
    let size = section.count("send_batch_size", 8_192);
    let send_batch_size = usize::try_from(size).unwrap_or(usize::MAX);
    Some(Processor::Batch(BatchSettings { timeout, send_batch_size }))
}

fn memory_limiter(section: &mut Section<'_>) -> Option<Processor> {
    let check_interval = section.duration("check_interval", Duration::ZERO);
    let mib = (section.count("limit_mib", 0), section.count("spike_limit_mib", 0));
    let percent =
        (section.count("limit_percentage", 0), section.count("spike_limit_percentage", 0));
    if check_interval.is_zero() {
        section.fault("check_interval must be there and longer than 0");
        return None;
    }
    // As the Collector: MiB go before percentages, and a fifth of the limit is the spike where none is given.
    let spike = |(limit, spike): (u64, u64)| if spike == 0 { limit / 5 } else { spike };
    let most = match (mib.0, percent.0) {
        (1.., _) => MemoryBound::Mib { limit: mib.0, spike: spike(mib) },
        (0, 1..=100) => MemoryBound::Percent { limit: percent.0, spike: spike(percent) },
        _ => {
            section.fault("one of limit_mib and limit_percentage (1 to 100) must be there");
            return None;
        }
    };
    let (MemoryBound::Mib { limit, spike } | MemoryBound::Percent { limit, spike }) = most;
    if spike >= limit {
        section.fault("the spike limit must be smaller than the limit");
        return None;
    }
    Some(Processor::MemoryLimiter(MemoryLimit { check_interval, most }))
}

fn actions(section: &mut Section<'_>, key: &'static str) -> Option<Vec<Action>> {
    let actions: Vec<_> = section.sections(key).iter_mut().map(action).collect();
    if actions.is_empty() {
        section.fault(format!("{key} is missing; it is the list of what is done"));
        return None;
    }
    actions.into_iter().collect()
}

/// What an action makes of a value.
type Make = fn(Source) -> Change;

fn action(section: &mut Section<'_>) -> Option<Action> {
    let key = section.required("key", "the attribute's name");
    section.required("action", "insert, update, upsert or delete");
    let make: [(&str, Option<Make>); 4] = [
        ("insert", Some(Change::Insert)),
        ("update", Some(Change::Update)),
        ("upsert", Some(Change::Upsert)),
        ("delete", None),
    ];
    let make = section.choice("action", &make, None);
    let value = section.raw("value").map(|node| {
        constant::read(node).or_else(|| section.wrong("value", node, constant::EXPECTED))
    });
    let from = section.text("from_attribute").map(Source::Attribute);
    let source = match (value, from) {
        (Some(value), None) => Some(Source::Value(value?)),
        (None, from) => from,
        (Some(_), Some(_)) => {
            section.fault("has both value and from_attribute; one of them is expected");
            return None;
        }
    };
    let change = match (make, source) {
        (None, None) => Change::Delete,
        (Some(make), Some(source)) => make(source),
        (None, Some(_)) => {
            section.fault("an action without a use for a value; delete has none");
            return None;
        }
        (Some(_), None) => {
            section.fault("has neither value nor from_attribute; one of them is expected");
            return None;
        }
    };
    Some(Action { key: key?.text, change })
}

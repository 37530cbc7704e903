//! The processors' settings.

use std::time::Duration;

use regex::Regex;

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
    /// What a batch may have at most, if there is a limit.
    pub send_batch_max_size: Option<usize>,
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
    /// The attribute's name; empty where a pattern stands in its place.
    pub key: String,
    /// What is done with it.
    pub change: Change,
}

/// What is done with an attribute.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is set where it is missing.
    Insert(Source),
    /// It is set where it is there.
    Update(Source),
    /// It is set.
    Upsert(Source),
    /// It is taken away, and so are those whose names match.
    Delete(Option<Regex>),
    /// It becomes its SHA-256, and so do those whose names match.
    Hash(Option<Regex>),
    /// The named groups of a pattern in its text become attributes.
    Extract(Regex),
    /// It becomes a value of another type, if it can.
    Convert(Target),
}

/// What a value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A floating one.
    Double,
}

/// Compared by what they do; a pattern is its text.
impl PartialEq for Change {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
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
    let most = usize::try_from(section.count("send_batch_max_size", 0)).unwrap_or(usize::MAX);
    if (1..send_batch_size).contains(&most) {
        section.fault("send_batch_max_size must not be smaller than send_batch_size");
    }
    let send_batch_max_size = Some(most).filter(|most| *most > 0);
    Some(Processor::Batch(BatchSettings { timeout, send_batch_size, send_batch_max_size }))
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

/// The actions, by their names.
#[derive(Clone, Copy)]
enum Verb {
    Set(fn(Source) -> Change),
    Delete,
    Hash,
    Extract,
    Convert,
}

const VERBS: [(&str, Verb); 7] = [
    ("insert", Verb::Set(Change::Insert)),
    ("update", Verb::Set(Change::Update)),
    ("upsert", Verb::Set(Change::Upsert)),
    ("delete", Verb::Delete),
    ("hash", Verb::Hash),
    ("extract", Verb::Extract),
    ("convert", Verb::Convert),
];

fn action(section: &mut Section<'_>) -> Option<Action> {
    section.required("action", "insert, update, upsert, delete, hash, extract or convert");
    let words = VERBS.map(|(word, _)| word).join(", ");
    let find = |text: &str, _| {
        VERBS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, verb)| *verb)
    };
    let verb = section.parsed("action", &words, find);
    let key = section.text("key").unwrap_or_default();
    let pattern = section.text("pattern");
    let has_pattern = pattern.is_some();
    let pattern = pattern.map(|text| {
        Regex::new(&text).map_err(|_| section.fault(format!("pattern {text:?} is no pattern"))).ok()
    });
    let value = section.raw("value").map(|node| {
        constant::read(node).or_else(|| section.wrong("value", node, constant::EXPECTED))
    });
    let from = section.text("from_attribute").map(Source::Attribute);
    let targets = [("string", Target::Text), ("int", Target::Int), ("double", Target::Double)];
    let has_target = section.has("converted_type");
    let target = section.choice("converted_type", &targets, Target::Text);
    let verb = verb?;
    let source = match (value, from) {
        (Some(value), None) => Some(Source::Value(value?)),
        (None, from) => from,
        (Some(_), Some(_)) => {
            section.fault("has both value and from_attribute; one of them is expected");
            return None;
        }
    };
    let is_named = !key.is_empty() || (has_pattern && matches!(verb, Verb::Delete | Verb::Hash));
    let fault = match (verb, &source) {
        _ if !is_named => Some("key is missing; it is the attribute's name"),
        (Verb::Set(_), None) => {
            Some("has neither value nor from_attribute; one of them is expected")
        }
        (Verb::Set(_), Some(_)) if has_pattern => Some("an action without a use for a pattern"),
        (Verb::Set(_), Some(_)) => None,
        (_, Some(_)) => Some("an action without a use for a value"),
        (Verb::Extract, None) if !has_pattern => {
            Some("pattern is missing; its named groups become attributes")
        }
        (Verb::Convert, None) if has_pattern => Some("an action without a use for a pattern"),
        (Verb::Convert, None) if !has_target => {
            Some("converted_type is missing; it is string, int or double")
        }
        _ => None,
    };
    let fault = fault.or_else(|| {
        (has_target && !matches!(verb, Verb::Convert))
            .then_some("an action without a use for converted_type")
    });
    if let Some(fault) = fault {
        section.fault(fault);
        return None;
    }
    // A pattern with a fault has been noted.
    let pattern = match pattern {
        Some(pattern) => Some(pattern?),
        None => None,
    };
    let change = match (verb, source, pattern) {
        (Verb::Set(make), Some(source), _) => make(source),
        (Verb::Delete, _, pattern) => Change::Delete(pattern),
        (Verb::Hash, _, pattern) => Change::Hash(pattern),
        (Verb::Extract, _, Some(pattern)) => {
            if pattern.capture_names().skip(1).any(|name| name.is_none())
                || pattern.captures_len() < 2
            {
                section.fault("pattern needs groups, and each needs a name such as (?P<name>…)");
                return None;
            }
            Change::Extract(pattern)
        }
        (Verb::Convert, ..) => Change::Convert(target),
        (Verb::Set(_), None, _) | (Verb::Extract, _, None) => return None,
    };
    Some(Action { key, change })
}

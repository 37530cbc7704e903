//! The processors' settings.

use super::component::{ALL_SIGNALS, Kind};
use super::operators::{Constant, constant};
use super::section::Section;

/// A processor and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Processor {
    /// Changes the attributes of spans, records and data points.
    Attributes(Vec<Action>),
    /// Changes the attributes of whoever sent them.
    Resource(Vec<Action>),
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
    Kind {
        name: "resource",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: |section| actions(section, "attributes").map(Processor::Resource),
        sample: "attributes: [{key: k, action: insert, value: v}]",
    },
];

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
        constant(node).or_else(|| section.wrong("value", node, "a text, a number or a boolean"))
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

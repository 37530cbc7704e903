//! The numbers of one moment, as plain data: what every encoder writes from.

use std::sync::Arc;

use super::bounds::Bounds;
use super::definition::Definition;
use super::exemplar::Exemplar;
use super::labels::LabelSet;

/// Every family at one time.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// When it was taken.
    pub(super) unix_nanos: u64,
    pub(super) families: Vec<Family>,
    /// The resource, for those who are not told it otherwise.
    pub(super) target: Option<Arc<LabelSet>>,
}

#[derive(Debug)]
pub(super) struct Family {
    pub(super) definition: Arc<Definition>,
    pub(super) points: Vec<Point>,
}

/// One series at that time.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) labels: Arc<LabelSet>,
    /// Since when a sum counts.
    pub(super) start_nanos: u64,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Number { number: Number, example: Option<Example> },
    Histogram(HistogramValue),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

#[derive(Debug)]
pub(super) struct HistogramValue {
    pub(super) bounds: Arc<Bounds>,
    /// For each bound how many were at most so much, and more than the bound before; the last are those
    /// above all bounds.
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
    /// One for each of the counts.
    pub(super) examples: Vec<Option<Example>>,
}

/// An exemplar with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    pub(super) value: f64,
    pub(super) unix_nanos: Option<u64>,
    pub(super) labels: ExampleLabels,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExampleLabels {
    Trace {
        trace_id: [u8; 16],
        span_id: [u8; 8],
    },
    /// Those of a prometheus-client metric.
    Own(Vec<(String, String)>),
}

impl Snapshot {
    /// The families of a moment, in the order of their names. Where two have one name, the first is kept.
    pub(super) fn new(unix_nanos: u64, mut families: Vec<Family>) -> Self {
        families.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        families.dedup_by(|b, a| a.definition.name == b.definition.name);
        Self { unix_nanos, families, target: None }
    }

    #[cfg(test)]
    pub(super) fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.definition.name == name)
    }
}

impl From<(f64, Exemplar)> for Example {
    fn from((value, exemplar): (f64, Exemplar)) -> Self {
        let Exemplar { trace_id, span_id, unix_nanos } = exemplar;
        let labels = ExampleLabels::Trace { trace_id, span_id };
        Self { value, unix_nanos: Some(unix_nanos), labels }
    }
}

impl Number {
    pub(super) fn as_f64(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floats")]
            Self::Unsigned(number) => number as f64,
            #[expect(clippy::cast_precision_loss, reason = "Prometheus's numbers are floats")]
            Self::Signed(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

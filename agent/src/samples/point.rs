//! One data point of OTLP as one point of a series.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    DataPointFlags, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
    SummaryDataPoint, exemplar, number_data_point,
};

use super::labels::{Label, Labels, Sender};
use super::value::{Buckets, Value};
use super::{Refused, exponential, names};
use crate::record::{SpanId, TraceId, value_text};

/// Bounds of one histogram.
const MAX_BOUNDS: usize = 1024;

/// Quantiles of one summary.
const MAX_QUANTILES: usize = 64;

/// Characters of all labels of one example, names included: OpenMetrics's limit.
const MAX_EXAMPLE_CHARS: usize = 128;

/// Examples of one point; a histogram keeps one for each bucket anyway.
const MAX_EXAMPLES: usize = 64;

/// One point of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The series' labels.
    pub labels: Labels,
    /// The name and version of the library that made it; empty where nobody said.
    pub scope: (Arc<str>, Arc<str>),
    /// When the sender began to count, in nanoseconds since 1970; 0 where nobody said.
    pub start_unix_nano: u64,
    /// When it stood there, in nanoseconds since 1970; 0 where nobody said.
    pub time_unix_nano: u64,
    /// Where it stood, or what was added since the point before.
    pub value: Value,
    /// Whether the value is only what was added.
    pub is_delta: bool,
    /// Observations that lead to a trace.
    pub examples: Vec<Example>,
}

/// An observation that leads to a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// `trace_id`, `span_id` and others, as many as may be.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When, in nanoseconds since 1970.
    pub time_unix_nano: u64,
}

impl Point {
    pub(super) fn number(point: &NumberDataPoint, sender: &Sender) -> Result<Self, Refused> {
        let value = match point.value {
            _ if is_gone(point.flags) => Value::Gone,
            Some(number_data_point::Value::AsDouble(number)) => Value::Number(number),
            Some(number_data_point::Value::AsInt(number)) => Value::Number(number as f64),
            None => return Err(Refused::Malformed),
        };
        Ok(Self {
            value,
            examples: examples(&point.exemplars),
            ..Self::new(
                sender.series(&point.attributes, None)?,
                point.start_time_unix_nano,
                point.time_unix_nano,
            )
        })
    }

    pub(super) fn histogram(point: &HistogramDataPoint, sender: &Sender) -> Result<Self, Refused> {
        let value = if is_gone(point.flags) {
            Value::Gone
        } else {
            Value::Histogram(explicit_buckets(point).ok_or(Refused::Malformed)?)
        };
        Ok(Self {
            value,
            examples: examples(&point.exemplars),
            ..Self::new(
                sender.series(&point.attributes, Some("le"))?,
                point.start_time_unix_nano,
                point.time_unix_nano,
            )
        })
    }

    pub(super) fn exponential(
        point: &ExponentialHistogramDataPoint,
        sender: &Sender,
    ) -> Result<Self, Refused> {
        let value = if is_gone(point.flags) {
            Value::Gone
        } else {
            Value::Histogram(exponential::buckets(point).ok_or(Refused::Malformed)?)
        };
        Ok(Self {
            value,
            examples: examples(&point.exemplars),
            ..Self::new(
                sender.series(&point.attributes, Some("le"))?,
                point.start_time_unix_nano,
                point.time_unix_nano,
            )
        })
    }

    pub(super) fn summary(point: &SummaryDataPoint, sender: &Sender) -> Result<Self, Refused> {
        let value = if is_gone(point.flags) {
            Value::Gone
        } else {
            let mut quantiles: Vec<_> = point
                .quantile_values
                .iter()
                .map(|quantile| (quantile.quantile, quantile.value))
                .filter(|(quantile, _)| (0.0..=1.0).contains(quantile))
                .collect();
            quantiles.sort_by(|one, other| one.0.total_cmp(&other.0));
            quantiles.dedup_by(|second, first| second.0 == first.0);
            quantiles.truncate(MAX_QUANTILES);
            Value::Summary { quantiles, sum: point.sum, count: point.count }
        };
        Ok(Self {
            value,
            ..Self::new(
                sender.series(&point.attributes, Some("quantile"))?,
                point.start_time_unix_nano,
                point.time_unix_nano,
            )
        })
    }

    fn new(labels: Labels, start_unix_nano: u64, time_unix_nano: u64) -> Self {
        Self {
            labels,
            scope: Default::default(),
            start_unix_nano,
            time_unix_nano,
            value: Value::Gone,
            is_delta: false,
            examples: Vec::new(),
        }
    }

    pub(super) fn in_scope(mut self, scope: Option<&InstrumentationScope>) -> Self {
        if let Some(scope) = scope {
            self.scope = (scope.name.as_str().into(), scope.version.as_str().into());
        }
        self
    }

    /// The labels with the scope among them: for a series that another scope has already.
    pub fn labels_with_scope(&self) -> Labels {
        let mut labels: Vec<Label> = self.labels.to_vec();
        for (name, value) in
            [("otel_scope_name", &self.scope.0), ("otel_scope_version", &self.scope.1)]
        {
            if !value.is_empty() && labels.iter().all(|(known, _)| &**known != name) {
                labels.push((name.into(), value.as_ref().into()));
            }
        }
        labels.sort();
        labels.into()
    }
}

fn is_gone(flags: u32) -> bool {
    flags & DataPointFlags::NoRecordedValueMask as u32 != 0
}

fn explicit_buckets(point: &HistogramDataPoint) -> Option<Buckets> {
    let mut bounds = point.explicit_bounds.clone();
    let mut counts = point.bucket_counts.clone();
    if counts.is_empty() && bounds.is_empty() {
        // A histogram of one bucket may leave it out.
        counts.push(point.count);
    }
    // An infinite bound says again what the last bucket is.
    if bounds.last() == Some(&f64::INFINITY) && counts.len() == bounds.len() + 1 {
        bounds.pop();
        let last = counts.pop()?;
        *counts.last_mut()? += last;
    }
    let is_rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    let is_finite = bounds.iter().all(|bound| bound.is_finite());
    let fits = counts.len() == bounds.len() + 1 && bounds.len() <= MAX_BOUNDS;
    (is_rising && is_finite && fits).then_some(Buckets {
        bounds,
        counts,
        sum: point.sum,
        on_grid: false,
    })
}

/// The newest examples that lead to a trace or say something else.
fn examples(exemplars: &[Exemplar]) -> Vec<Example> {
    let mut examples: Vec<Example> = exemplars.iter().filter_map(example).collect();
    examples.sort_by_key(|example| example.time_unix_nano);
    examples.drain(..examples.len().saturating_sub(MAX_EXAMPLES));
    examples
}

fn example(exemplar: &Exemplar) -> Option<Example> {
    let value = match exemplar.value? {
        exemplar::Value::AsDouble(number) => number,
        exemplar::Value::AsInt(number) => number as f64,
    };
    let mut labels: Vec<Label> = Vec::new();
    let mut room = MAX_EXAMPLE_CHARS;
    let mut add = |name: &str, value: String| {
        let chars = name.chars().count() + value.chars().count();
        let is_new = labels.iter().all(|(known, _)| &**known != name);
        if is_new && chars <= room && !value.is_empty() {
            room -= chars;
            labels.push((name.into(), value.into()));
        }
    };
    if let Some(id) = TraceId::from_bytes(&exemplar.trace_id) {
        add("trace_id", id.to_string());
    }
    if let Some(id) = SpanId::from_bytes(&exemplar.span_id) {
        add("span_id", id.to_string());
    }
    for attribute in &exemplar.filtered_attributes {
        let value = attribute.value.as_ref().map(value_text).unwrap_or_default();
        add(&names::label(&attribute.key), value);
    }
    (!labels.is_empty() && value.is_finite()).then_some(Example {
        labels: labels.into(),
        value,
        time_unix_nano: exemplar.time_unix_nano,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(bounds: &[f64], counts: &[u64]) -> Option<Buckets> {
        explicit_buckets(&HistogramDataPoint {
            explicit_bounds: bounds.to_vec(),
            bucket_counts: counts.to_vec(),
            count: 7,
            ..HistogramDataPoint::default()
        })
    }

    #[test]
    fn a_histogram_that_contradicts_itself_is_none() {
        assert_eq!(histogram(&[], &[]).unwrap().counts, [7]);
        assert_eq!(histogram(&[1.0, f64::INFINITY], &[1, 2, 3]).unwrap().counts, [1, 5]);
        for (bounds, counts) in [
            (&[1.0][..], &[1][..]),
            (&[2.0, 1.0], &[1, 1, 1]),
            (&[f64::NAN], &[1, 1]),
            (&[1.0, 1.0], &[1, 1, 1]),
        ] {
            assert_eq!(histogram(bounds, counts), None, "{bounds:?}");
        }
    }

    #[test]
    fn an_example_keeps_what_fits_beside_its_ids() {
        let exemplar = Exemplar {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            value: Some(exemplar::Value::AsDouble(0.5)),
            filtered_attributes: vec![
                crate::record::text_attribute("long", "x".repeat(100)),
                crate::record::text_attribute("user.id", "u"),
            ],
            ..Exemplar::default()
        };
        let example = example(&exemplar).unwrap();
        let names: Vec<_> = example.labels.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["trace_id", "span_id", "user_id"]);
    }
}

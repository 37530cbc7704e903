//! Metrics of OTLP in Prometheus's words: families, labels and values. Pure; the `prometheus` exporter and
//! the store both stand on it, so that a series is called the same wherever it is read.
//!
//! | OTLP | Prometheus |
//! | --- | --- |
//! | gauge, sum that may shrink | gauge |
//! | sum that only grows | counter, `_total` |
//! | histogram | histogram |
//! | exponential histogram | histogram, its bounds the powers of √2 (see `samples::exponential`) |
//! | summary | summary |
//! | `service.namespace`/`service.name` | `job` |
//! | `service.instance.id` | `instance` |
//! | the resource's other attributes | the labels of `target_info` |

mod exponential;
mod labels;
pub mod names;
mod point;
mod value;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric::Data};

pub use labels::{Label, Labels, Sender};
pub use point::{Example, Point};
pub use value::{Buckets, Value, number_text};

use crate::record::MetricBatch;

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Observations, counted by how large they were.
    Histogram,
    /// Quantiles that the sender reckoned.
    Summary,
}

/// What the series of one name have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its name, without a counter's `_total`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What it counts, in its sender's words.
    pub help: String,
}

/// Why a point is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It contradicts itself: no value, no temporality, buckets without bounds.
    Malformed,
    /// Its labels are longer than labels may be.
    LabelsTooLong,
    /// Another family has the name, as another type.
    TypeConflict,
    /// It is no newer than what is there.
    OutOfOrder,
    /// There is no room for another series.
    SeriesLimit,
}

/// How names and labels are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Stands before every name, with `_` between.
    pub namespace: String,
    /// Whether names get their unit and type: `_seconds`, `_total`.
    pub suffixes: bool,
    /// Whether every series gets all of its resource's attributes.
    pub resource_labels: bool,
    /// Labels of every series.
    pub constant_labels: Vec<(String, String)>,
}

impl Default for Naming {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            suffixes: true,
            resource_labels: false,
            constant_labels: Vec::new(),
        }
    }
}

impl Kind {
    /// As `# TYPE` says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    /// From [`word`](Self::word).
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

impl Family {
    /// The name of its samples, but for what histograms and summaries append.
    pub fn sample_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            _ => self.name.clone(),
        }
    }

    /// Every name that belongs to it, so that no other family may have it.
    pub fn claimed_names(&self) -> Vec<String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
            Kind::Summary => &["", "_sum", "_count", "_created"],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name)).collect()
    }
}

impl Refused {
    /// The word that counts it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::LabelsTooLong => "labels_too_long",
            Self::TypeConflict => "type_conflict",
            Self::OutOfOrder => "out_of_order",
            Self::SeriesLimit => "series_limit",
        }
    }
}

/// Hands every point of a batch to `take`, with who sent it and its family.
pub fn read(
    batch: &MetricBatch,
    naming: &Naming,
    mut take: impl FnMut(&Sender, &Family, Result<Point, Refused>),
) {
    for resource_metrics in &batch.resource_metrics {
        let attributes = resource_metrics.resource.as_ref().map_or(&[][..], |r| &r.attributes);
        let sender = Sender::new(attributes, naming);
        for scope_metrics in &resource_metrics.scope_metrics {
            let scope = scope_metrics.scope.as_ref();
            for metric in &scope_metrics.metrics {
                read_metric(metric, scope, &sender, naming, &mut take);
            }
        }
    }
}

fn read_metric(
    metric: &Metric,
    scope: Option<&InstrumentationScope>,
    sender: &Sender,
    naming: &Naming,
    take: &mut impl FnMut(&Sender, &Family, Result<Point, Refused>),
) {
    let Some(data) = &metric.data else { return };
    let (kind, temporality) = match data {
        Data::Gauge(_) => (Kind::Gauge, None),
        Data::Sum(sum) if sum.is_monotonic => (Kind::Counter, Some(sum.aggregation_temporality)),
        Data::Sum(sum) => (Kind::Gauge, Some(sum.aggregation_temporality)),
        Data::Histogram(data) => (Kind::Histogram, Some(data.aggregation_temporality)),
        Data::ExponentialHistogram(data) => (Kind::Histogram, Some(data.aggregation_temporality)),
        Data::Summary(_) => (Kind::Summary, None),
    };
    let is_gauge = matches!(data, Data::Gauge(_));
    let name = names::family(&metric.name, &metric.unit, kind == Kind::Counter, is_gauge, naming);
    let family = Family { name, kind, help: metric.description.clone() };
    let is_delta = match temporality.map(AggregationTemporality::try_from) {
        None | Some(Ok(AggregationTemporality::Cumulative)) => Some(false),
        Some(Ok(AggregationTemporality::Delta)) => Some(true),
        Some(_) => None,
    };
    let mut take = |point: Result<Point, Refused>| {
        let point = match is_delta {
            // Without a name it could not be written, without a temporality not be added up.
            _ if family.name.is_empty() => Err(Refused::Malformed),
            None => Err(Refused::Malformed),
            Some(is_delta) => point
                .map(|point| Point { is_delta, ..point.in_scope(scope) })
                .and_then(|point| match point.value {
                    // What only grows is never below zero.
                    Value::Number(number)
                        if kind == Kind::Counter && (number.is_nan() || number < 0.0) =>
                    {
                        Err(Refused::Malformed)
                    }
                    _ => Ok(point),
                }),
        };
        take(sender, &family, point);
    };
    match data {
        Data::Gauge(data) => {
            data.data_points.iter().for_each(|p| take(Point::number(p, sender)));
        }
        Data::Sum(data) => {
            data.data_points.iter().for_each(|p| take(Point::number(p, sender)));
        }
        Data::Histogram(data) => {
            data.data_points.iter().for_each(|p| take(Point::histogram(p, sender)));
        }
        Data::ExponentialHistogram(data) => {
            data.data_points.iter().for_each(|p| take(Point::exponential(p, sender)));
        }
        Data::Summary(data) => {
            data.data_points.iter().for_each(|p| take(Point::summary(p, sender)));
        }
    }
}

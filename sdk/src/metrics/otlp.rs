//! A snapshot as OTLP: the same numbers, names and labels that a scraper reads.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::definition::Kind;
use super::snapshot::{
    Example, ExampleLabels, Family, HistogramValue, Number, Point, Snapshot, Value,
};
use crate::config::Temporality;

/// Turns snapshots into requests, one push after the other.
pub(crate) struct Encoder {
    resource: Resource,
    temporality: Temporality,
    /// What the last push that arrived said, for deltas.
    told: Told,
}

/// The numbers of a push by family and labels.
#[derive(Debug, Default)]
pub(crate) struct Told {
    unix_nanos: u64,
    values: HashMap<(Arc<str>, Box<str>), Before>,
}

#[derive(Debug, Clone)]
enum Before {
    Number(Number),
    Histogram { counts: Vec<u64>, sum: f64 },
}

impl Encoder {
    pub(crate) fn new(resource: &opentelemetry_sdk::Resource, temporality: Temporality) -> Self {
        Self { resource: resource.into(), temporality, told: Told::default() }
    }

    /// The request for a snapshot, and what it tells: give it to [`delivered`](Self::delivered) once the
    /// request has arrived. One that has not is told again with the next.
    pub(crate) fn encode(&self, snapshot: &Snapshot) -> (ExportMetricsServiceRequest, Told) {
        let mut told = Told { unix_nanos: snapshot.unix_nanos, values: HashMap::new() };
        let mut scopes: Vec<ScopeMetrics> = Vec::new();
        for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
            let scope = scope(family);
            let metric = self.metric(family, snapshot.unix_nanos, &mut told);
            match scopes.iter_mut().find(|known| known.scope.as_ref() == Some(&scope)) {
                Some(known) => known.metrics.push(metric),
                None => scopes.push(ScopeMetrics {
                    scope: Some(scope),
                    metrics: vec![metric],
                    schema_url: schema_url(family),
                }),
            }
        }
        let resource_metrics = vec![ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: scopes,
            schema_url: String::new(),
        }];
        (ExportMetricsServiceRequest { resource_metrics }, told)
    }

    /// What was told has arrived: the next deltas begin there.
    pub(crate) fn delivered(&mut self, told: Told) {
        if self.temporality != Temporality::Cumulative {
            self.told = told;
        }
    }

    fn metric(&self, family: &Family, now: u64, told: &mut Told) -> Metric {
        let definition = &*family.definition;
        let may_be_delta = match self.temporality {
            Temporality::Cumulative => false,
            Temporality::Delta => true,
            Temporality::LowMemory => !definition.is_observed,
        };
        let is_delta = may_be_delta && matches!(definition.kind, Kind::Counter | Kind::Histogram);
        let temporality = if is_delta {
            AggregationTemporality::Delta
        } else {
            AggregationTemporality::Cumulative
        } as i32;
        let name: Arc<str> = definition.name.as_str().into();
        let mut before = |point: &Point, said: Before| {
            let key = (Arc::clone(&name), point.labels.text.clone());
            let earlier = self.told.values.get(&key).cloned();
            told.values.insert(key, said);
            earlier
        };
        let start = |point: &Point, earlier: bool| match earlier {
            true => self.told.unix_nanos,
            false => point.start_nanos,
        };
        let mut numbers = Vec::new();
        let mut histograms = Vec::new();
        for point in &family.points {
            match &point.value {
                Value::Number { number, example } => {
                    let earlier =
                        is_delta.then(|| before(point, Before::Number(*number))).flatten();
                    let is_gauge =
                        matches!(definition.kind, Kind::Gauge | Kind::Info | Kind::Unknown);
                    let start = if is_gauge { 0 } else { start(point, earlier.is_some()) };
                    let number = match earlier {
                        Some(Before::Number(earlier)) => since(*number, earlier),
                        _ => *number,
                    };
                    let mut data = data_point(point, number, start, now);
                    let is_counter = definition.kind == Kind::Counter;
                    let example = example.as_ref().filter(|_| is_counter);
                    data.exemplars.extend(example.map(exemplar));
                    numbers.push(data);
                }
                Value::Histogram(histogram) => {
                    let said = || Before::Histogram {
                        counts: histogram.counts.clone(),
                        sum: histogram.sum,
                    };
                    let earlier = is_delta.then(|| before(point, said())).flatten();
                    let start = start(point, earlier.is_some());
                    histograms.push(histogram_point(point, histogram, earlier, start, now));
                }
            }
        }
        let data = match definition.kind {
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: histograms,
                aggregation_temporality: temporality,
            }),
            Kind::Counter | Kind::UpDownCounter => metric::Data::Sum(Sum {
                data_points: numbers,
                aggregation_temporality: temporality,
                is_monotonic: definition.kind == Kind::Counter,
            }),
            Kind::Gauge | Kind::Info | Kind::Unknown => {
                metric::Data::Gauge(Gauge { data_points: numbers })
            }
        };
        Metric {
            name: definition.otlp_name.clone(),
            description: definition.help.clone(),
            unit: definition.otlp_unit.clone(),
            metadata: Vec::new(),
            data: Some(data),
        }
    }
}

fn scope(family: &Family) -> InstrumentationScope {
    match &family.definition.scope {
        Some(scope) => (scope.clone(), None).into(),
        None => InstrumentationScope {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        },
    }
}

fn schema_url(family: &Family) -> String {
    let scope = family.definition.scope.as_ref();
    scope.and_then(|scope| scope.schema_url()).unwrap_or_default().to_owned()
}

fn data_point(point: &Point, number: Number, start: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: point.labels.attributes.iter().map(KeyValue::from).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        exemplars: Vec::new(),
        flags: 0,
        value: Some(value(number)),
    }
}

fn value(number: Number) -> number_data_point::Value {
    match number {
        Number::Unsigned(number) => match i64::try_from(number) {
            Ok(number) => number_data_point::Value::AsInt(number),
            Err(_) => number_data_point::Value::AsDouble(Number::Unsigned(number).as_f64()),
        },
        Number::Signed(number) => number_data_point::Value::AsInt(number),
        Number::Float(number) => number_data_point::Value::AsDouble(number),
    }
}

fn histogram_point(
    point: &Point,
    histogram: &HistogramValue,
    earlier: Option<Before>,
    start: u64,
    now: u64,
) -> HistogramDataPoint {
    let mut counts = histogram.counts.clone();
    let mut sum = histogram.sum;
    if let Some(Before::Histogram { counts: earlier, sum: earlier_sum }) = earlier {
        for (count, earlier) in counts.iter_mut().zip(earlier) {
            *count = count.saturating_sub(earlier);
        }
        sum -= earlier_sum;
    }
    HistogramDataPoint {
        attributes: point.labels.attributes.iter().map(KeyValue::from).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts,
        explicit_bounds: histogram.bounds.values.to_vec(),
        exemplars: histogram.examples.iter().flatten().map(exemplar).collect(),
        flags: 0,
        min: None,
        max: None,
    }
}

/// What came since; all of it where the count began anew.
fn since(now: Number, before: Number) -> Number {
    match (now, before) {
        (Number::Unsigned(now), Number::Unsigned(before)) => {
            Number::Unsigned(now.checked_sub(before).unwrap_or(now))
        }
        _ => {
            let difference = now.as_f64() - before.as_f64();
            Number::Float(if difference < 0.0 { now.as_f64() } else { difference })
        }
    }
}

/// The ids have fields of their own; other labels are attributes.
fn exemplar(example: &Example) -> Exemplar {
    let mut encoded = Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: example.unix_nanos.unwrap_or(0),
        span_id: Vec::new(),
        trace_id: Vec::new(),
        value: Some(exemplar::Value::AsDouble(example.value)),
    };
    match &example.labels {
        ExampleLabels::Trace { trace_id, span_id } => {
            encoded.trace_id = trace_id.to_vec();
            encoded.span_id = span_id.to_vec();
        }
        ExampleLabels::Own(labels) => {
            for (name, value) in labels {
                match (name.as_str(), unhex(value)) {
                    ("trace_id", Some(id)) if id.len() == 16 => encoded.trace_id = id,
                    ("span_id", Some(id)) if id.len() == 8 => encoded.span_id = id,
                    _ => encoded.filtered_attributes.push(text(name, value)),
                }
            }
        }
    }
    encoded
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = digits.as_bytes().iter().map(digit).collect();
    let pairs = digits?;
    Some(pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
}

#[cfg(test)]
mod tests;

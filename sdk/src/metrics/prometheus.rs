//! Metrics of the `prometheus-client` crate: read by its own typed encoding, so that their numbers and
//! exemplars come into the snapshot without a text in between.

use std::sync::Arc;

use opentelemetry::KeyValue;
use prometheus_client::encoding::prometheus_protobuf::{self, prometheus_data_model as model};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Metric, Registry};

use super::bounds::Bounds;
use super::definition::{Definition, Kind};
use super::exemplar::unix_nanos;
use super::instrument::Source;
use super::labels::{DefaultLabels, LabelSet, pair};
use super::name;
use super::series::Losses;
use super::snapshot::{Example, ExampleLabels, Family, HistogramValue, Number, Point, Value};

/// What an exemplar's labels may have in characters, names and values together.
const MAX_EXEMPLAR_RUNES: usize = 128;

/// One metric, or family of them, in a registry of its own: if it cannot be read, the others still can.
pub(super) struct PrometheusMetric {
    definition: Arc<Definition>,
    registry: Registry,
    /// When it was registered: it does not say itself since when it counts.
    start_nanos: u64,
    defaults: DefaultLabels,
    losses: Arc<Losses>,
}

impl PrometheusMetric {
    pub(super) fn kind_of(metric: &impl Metric) -> Kind {
        match metric.metric_type() {
            MetricType::Counter => Kind::Counter,
            MetricType::Gauge => Kind::Gauge,
            MetricType::Histogram => Kind::Histogram,
            MetricType::Info => Kind::Info,
            MetricType::Unknown => Kind::Unknown,
        }
    }

    pub(super) fn new(
        definition: Definition,
        metric: impl Metric,
        defaults: DefaultLabels,
        losses: Arc<Losses>,
    ) -> Self {
        let mut registry = Registry::default();
        // Names and help are the definition's.
        registry.register(definition.name.as_str(), "", metric);
        let definition = Arc::new(definition);
        Self { definition, registry, start_nanos: unix_nanos(), defaults, losses }
    }

    fn point(&self, metric: model::Metric, bounds: &mut Arc<Bounds>) -> Option<Point> {
        let value = if let Some(counter) = metric.counter {
            let example = counter.exemplar.and_then(example);
            Value::Number { number: whole(counter.value), example }
        } else if let Some(gauge) = metric.gauge {
            number(Number::Float(gauge.value))
        } else if let Some(untyped) = metric.untyped {
            number(Number::Float(untyped.value))
        } else {
            Value::Histogram(histogram(metric.histogram?, bounds))
        };
        let labels: Vec<KeyValue> =
            metric.label.into_iter().map(|label| pair(label.name, label.value)).collect();
        let labels = Arc::new(LabelSet::new(labels, &self.defaults));
        Some(Point { labels, start_nanos: self.start_nanos, value })
    }
}

impl Source for PrometheusMetric {
    fn read(&self, families: &mut Vec<Family>) {
        let Ok(encoded) = prometheus_protobuf::encode(&self.registry) else {
            Losses::count(&self.losses.conflicts);
            return;
        };
        // The series of a family have the same bounds, which are then written once.
        let mut bounds = Arc::new(Bounds::default());
        let metrics = encoded.into_iter().flat_map(|family| family.metric);
        let points = metrics.filter_map(|metric| self.point(metric, &mut bounds)).collect();
        families.push(Family { definition: Arc::clone(&self.definition), points });
    }
}

fn number(number: Number) -> Value {
    Value::Number { number, example: None }
}

/// The encoding has floats only; a count is written as one.
fn whole(value: f64) -> Number {
    /// Up to here every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && (0.0..=EXACT).contains(&value) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        return Number::Unsigned(value as u64);
    }
    Number::Float(value)
}

fn histogram(value: model::Histogram, bounds: &mut Arc<Bounds>) -> HistogramValue {
    // The last bucket of a histogram has all of them, with infinity as its bound or none.
    let finite = || value.bucket.iter().map(|b| b.upper_bound).filter(|bound| bound.is_finite());
    if bounds.texts.is_empty() || !bounds.values.iter().copied().eq(finite()) {
        *bounds = Arc::new(Bounds::new(finite()));
    }
    let buckets = bounds.texts.len();
    let mut counts = Vec::with_capacity(buckets);
    let mut examples = Vec::with_capacity(buckets);
    let mut below = 0;
    for bucket in value.bucket.into_iter().take(buckets) {
        counts.push(bucket.cumulative_count.saturating_sub(below));
        below = below.max(bucket.cumulative_count);
        examples.push(bucket.exemplar.and_then(example));
    }
    if counts.len() < buckets {
        counts.resize(buckets - 1, 0);
        counts.push(value.sample_count.saturating_sub(below));
    }
    examples.resize(buckets, None);
    HistogramValue { bounds: Arc::clone(bounds), counts, sum: value.sample_sum, examples }
}

fn example(exemplar: model::Exemplar) -> Option<Example> {
    let unix_nanos = exemplar.timestamp.and_then(|time| {
        let seconds = u64::try_from(time.seconds).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.nanos).ok()?)
    });
    if let Some(labels) = ids(&exemplar.label) {
        return Some(Example { value: exemplar.value, unix_nanos, labels });
    }
    let labels = exemplar.label.into_iter();
    let labels: Vec<_> =
        labels.map(|label| (name::into_label_name(label.name), label.value)).collect();
    let bytes = |(name, value): &(String, String)| name.len() + value.len();
    let runes = |(name, value): &(String, String)| name.chars().count() + value.chars().count();
    // A scraper gives up on the whole page for one that is too long. There are never more runes than bytes.
    let is_short = labels.iter().map(bytes).sum::<usize>() <= MAX_EXEMPLAR_RUNES
        || labels.iter().map(runes).sum::<usize>() <= MAX_EXEMPLAR_RUNES;
    let labels = ExampleLabels::Own(labels);
    is_short.then_some(Example { value: exemplar.value, unix_nanos, labels })
}

/// The ids, where the labels are these alone and would be written just so: they need no memory of their own.
fn ids(labels: &[model::LabelPair]) -> Option<ExampleLabels> {
    let [trace, span] = labels else { return None };
    if (trace.name.as_str(), span.name.as_str()) != ("trace_id", "span_id") {
        return None;
    }
    let trace_id = u128::from_str_radix(lower_hex(&trace.value, 32)?, 16).ok()?.to_be_bytes();
    let span_id = u64::from_str_radix(lower_hex(&span.value, 16)?, 16).ok()?.to_be_bytes();
    Some(ExampleLabels::Trace { trace_id, span_id })
}

fn lower_hex(text: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests;

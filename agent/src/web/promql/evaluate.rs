//! Query → answer, over the store.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use super::functions::{Point, increase, quantile};
use super::{Aggregation, Answer, Arithmetic, Expr, Grouping, LOOKBACK_NANOS, Labels, Values};
use crate::store::{Matcher, ReadError, Sample, SeriesQuery, Store, StoredSeries};

const NAME: &str = "__name__";

/// Values of one answer: series times steps.
const MAX_VALUES: usize = 2_000_000;

/// Samples that one rate may look at, those of overlapping ranges again and again.
const MAX_WORK: usize = 100_000_000;

/// The times at which a query is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Range {
    /// The first, in nanoseconds since 1970.
    pub(in super::super) start: i64,
    /// The last, or up to a step later.
    pub(in super::super) end: i64,
    /// From one to the next.
    pub(in super::super) step: i64,
}

impl Range {
    /// One time alone.
    pub(in super::super) fn at(time: i64) -> Self {
        Self { start: time, end: time, step: 1 }
    }

    /// The times, in nanoseconds since 1970.
    pub(in super::super) fn steps(self) -> impl Iterator<Item = i64> {
        let count = (self.end - self.start) / self.step.max(1);
        (0..=count).map(move |n| self.start + n * self.step)
    }
}

/// Answers a query at every step of a range.
///
/// # Errors
/// When the store cannot answer, or the query's series are more than an answer may hold.
pub(in super::super) fn evaluate<'a>(
    store: &'a Store,
    expr: &'a Expr,
    range: Range,
) -> Pin<Box<dyn Future<Output = Result<Answer, ReadError>> + Send + 'a>> {
    Box::pin(async move {
        Ok(match expr {
            Expr::Number(number) => Answer::Scalar(range.steps().map(|_| *number).collect()),
            Expr::Vector(matchers) => {
                let series = fetch(store, matchers, range, LOOKBACK_NANOS).await?;
                reckon(series, move |series| newest(series, range)).await?
            }
            Expr::Rate { matchers, range_nanos, per_second } => {
                let series = fetch(store, matchers, range, *range_nanos).await?;
                let range_nanos = *range_nanos;
                check_work(&series, range, range_nanos)?;
                let divisor = if *per_second { range_nanos as f64 / 1e9 } else { 1.0 };
                reckon(series, move |series| rate(series, range, range_nanos, divisor)).await?
            }
            Expr::Quantile { quantile, of } => match evaluate(store, of, range).await? {
                Answer::Vector(series) => Answer::Vector(quantiles(*quantile, series)),
                scalar => scalar,
            },
            Expr::Aggregate { how, grouping, of } => match evaluate(store, of, range).await? {
                Answer::Vector(series) => Answer::Vector(aggregate(*how, grouping, series)),
                scalar => scalar,
            },
            Expr::Binary { operator, left, right } => {
                let left = evaluate(store, left, range).await?;
                let right = evaluate(store, right, range).await?;
                binary(*operator, left, right)
            }
        })
    })
}

async fn fetch(
    store: &Store,
    matchers: &[Matcher],
    range: Range,
    before_nanos: i64,
) -> Result<Vec<StoredSeries>, ReadError> {
    let query = SeriesQuery {
        matchers: matchers.to_vec(),
        start_unix_nano: range.start.saturating_sub(before_nanos),
        end_unix_nano: range.end,
    };
    let series = store.series(query).await?;
    if series.len().saturating_mul(range.steps().count()) > MAX_VALUES {
        return Err(ReadError::TooLarge { limit_bytes: MAX_VALUES * size_of::<Option<f64>>() });
    }
    Ok(series)
}

/// Refuses what would take long to reckon: many steps, each over many samples.
fn check_work(series: &[StoredSeries], range: Range, range_nanos: i64) -> Result<(), ReadError> {
    let steps = range.steps().count();
    let overlap = (range_nanos / range.step.max(1)).saturating_add(1) as usize;
    let work = series.iter().fold(0_usize, |sum, series| {
        sum.saturating_add(series.samples.len().saturating_mul(overlap.min(steps)))
    });
    if work > MAX_WORK {
        return Err(ReadError::TooLarge { limit_bytes: MAX_WORK });
    }
    Ok(())
}

/// Reckons each series' values, where that holds nobody up.
async fn reckon(
    series: Vec<StoredSeries>,
    of_one: impl Fn(StoredSeries) -> (Labels, Values) + Send + 'static,
) -> Result<Answer, ReadError> {
    let all = move || series.into_iter().map(of_one).collect();
    let all = tokio::task::spawn_blocking(all).await;
    all.map(Answer::Vector).map_err(|error| ReadError::Failed { message: error.to_string() })
}

/// At each step the newest sample, unless it is too old or says that there is none.
fn newest(series: StoredSeries, range: Range) -> (Labels, Values) {
    let samples = &series.samples;
    let values = range.steps().map(|time| {
        let upto = samples.partition_point(|sample| sample.time_unix_nano <= time);
        let sample = samples[..upto].last()?;
        if time - sample.time_unix_nano < LOOKBACK_NANOS { sample.value } else { None }
    });
    let values = values.collect();
    (series.series.labels, values)
}

fn rate(series: StoredSeries, range: Range, range_nanos: i64, divisor: f64) -> (Labels, Values) {
    let point = |sample: &Sample| Some((sample.time_unix_nano, sample.value?));
    let points: Vec<Point> = series.samples.iter().filter_map(point).collect();
    let values = range.steps().map(|end| {
        let start = end.saturating_sub(range_nanos);
        let from = points.partition_point(|point| point.0 <= start);
        let to = points.partition_point(|point| point.0 <= end);
        increase(points.get(from..to)?, start, end).map(|grown| grown / divisor)
    });
    let values = values.collect();
    (without_name(series.series.labels), values)
}

fn without_name(mut labels: Labels) -> Labels {
    labels.remove(NAME);
    labels
}

fn quantiles(wanted: f64, series: Vec<(Labels, Values)>) -> Vec<(Labels, Values)> {
    let mut groups: BTreeMap<Labels, Vec<(f64, Values)>> = BTreeMap::new();
    for (labels, values) in series {
        let mut labels = without_name(labels);
        let Some(bound) = labels.remove("le").and_then(|le| le.parse().ok()) else { continue };
        groups.entry(labels).or_default().push((bound, values));
    }
    let of_group = |buckets: Vec<(f64, Values)>| {
        let steps = buckets.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
        let at = |step: usize| {
            let counts: Vec<_> = buckets
                .iter()
                .filter_map(|(bound, values)| Some((*bound, (*values.get(step)?)?)))
                .collect();
            (!counts.is_empty()).then(|| quantile(wanted, counts))
        };
        (0..steps).map(at).collect()
    };
    groups.into_iter().map(|(labels, buckets)| (labels, of_group(buckets))).collect()
}

fn aggregate(
    how: Aggregation,
    grouping: &Grouping,
    series: Vec<(Labels, Values)>,
) -> Vec<(Labels, Values)> {
    let mut groups: BTreeMap<Labels, Vec<Values>> = BTreeMap::new();
    for (labels, values) in series {
        let kept = match grouping {
            Grouping::By(names) => {
                labels.into_iter().filter(|(name, _)| names.contains(name)).collect()
            }
            Grouping::Without(names) => {
                without_name(labels).into_iter().filter(|(name, _)| !names.contains(name)).collect()
            }
        };
        groups.entry(kept).or_default().push(values);
    }
    let of_group = |group: Vec<Values>| {
        let steps = group.iter().map(Values::len).max().unwrap_or(0);
        let at = |step: usize| {
            let values = group.iter().filter_map(|values| values.get(step).copied().flatten());
            combine(how, values)
        };
        (0..steps).map(at).collect()
    };
    groups.into_iter().map(|(labels, group)| (labels, of_group(group))).collect()
}

fn combine(how: Aggregation, values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum, mut least, mut most) = (0_u32, 0.0, f64::NAN, f64::NAN);
    for value in values {
        count += 1;
        sum += value;
        // The smaller and the larger of two ignore a NaN, as Prometheus does.
        least = f64::min(least, value);
        most = f64::max(most, value);
    }
    (count > 0).then(|| match how {
        Aggregation::Sum => sum,
        Aggregation::Average => sum / f64::from(count),
        Aggregation::Min => least,
        Aggregation::Max => most,
        Aggregation::Count => f64::from(count),
    })
}

fn binary(operator: Arithmetic, left: Answer, right: Answer) -> Answer {
    let apply = |left: f64, right: f64| match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
    };
    match (left, right) {
        (Answer::Scalar(left), Answer::Scalar(right)) => {
            Answer::Scalar(left.into_iter().zip(right).map(|(l, r)| apply(l, r)).collect())
        }
        (Answer::Vector(left), Answer::Scalar(right)) => {
            let with = |(labels, values): (Labels, Values)| {
                let values = values.into_iter().zip(&right);
                (without_name(labels), values.map(|(l, r)| Some(apply(l?, *r))).collect())
            };
            Answer::Vector(left.into_iter().map(with).collect())
        }
        (Answer::Scalar(left), Answer::Vector(right)) => {
            let with = |(labels, values): (Labels, Values)| {
                let values = values.into_iter().zip(&left);
                (without_name(labels), values.map(|(r, l)| Some(apply(*l, r?))).collect())
            };
            Answer::Vector(right.into_iter().map(with).collect())
        }
        (Answer::Vector(left), Answer::Vector(right)) => {
            let right: HashMap<Labels, Values> =
                right.into_iter().map(|(labels, values)| (without_name(labels), values)).collect();
            let joined = left.into_iter().filter_map(|(labels, values)| {
                let labels = without_name(labels);
                let other = right.get(&labels)?;
                let values = values.into_iter().zip(other);
                Some((labels, values.map(|(l, r)| Some(apply(l?, (*r)?))).collect()))
            });
            Answer::Vector(joined.collect())
        }
    }
}

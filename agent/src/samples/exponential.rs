//! An exponential histogram as one with bounds of its own.
//!
//! Prometheus's text formats know no exponential histograms, and a bound that comes and goes with a sender's scale would
//! be a series that comes and goes. So the bounds are always powers of √2 (scale 1), where every finer scale's buckets
//! fit in exactly: no count is guessed. A coarser scale's bounds are some of them. A quantile is off by a fifth at most.

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets as Side,
};

use super::value::Buckets;

/// Bounds are 2 to the power of k / 2.
const SCALE: i32 = 1;

/// The scales that the specification has.
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;

/// More than the hundred and sixty that senders use, on either side, after they are brought to the grid.
const MAX_BUCKETS: i64 = 512;

/// The histogram; `None` when it has more buckets, or another scale, than can be.
pub(super) fn buckets(point: &ExponentialHistogramDataPoint) -> Option<Buckets> {
    if !SCALES.contains(&point.scale) {
        return None;
    }
    // Counts by the power of √2 that is their upper bound, in distance from zero.
    let positive = side(point.positive.as_ref(), point.scale)?;
    let negative = side(point.negative.as_ref(), point.scale)?;
    let mut bounds = Vec::new();
    let mut counts = Vec::new();
    // The farther bound is the lower one, so a bucket's upper bound is the next one towards zero.
    for (upper, count) in negative.iter().rev() {
        bounds.push(-power(upper - step(point.scale)));
        counts.push(*count);
    }
    bounds.push(point.zero_threshold.max(0.0));
    counts.push(point.zero_count);
    for (upper, count) in &positive {
        bounds.push(power(*upper));
        counts.push(*count);
    }
    // Numbers beyond those that a float can hold have no bucket of their own.
    counts.push(0);
    while bounds.last().is_some_and(|bound| bound.is_infinite()) {
        bounds.pop();
        let last = counts.pop().unwrap_or(0);
        if let Some(count) = counts.last_mut() {
            *count = count.saturating_add(last);
        }
    }
    let is_finite = bounds.iter().all(|bound| bound.is_finite());
    let is_rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    (is_finite && is_rising).then_some(Buckets { bounds, counts, sum: point.sum, on_grid: true })
}

/// One side's counts, without gaps, each with the power that bounds it.
fn side(side: Option<&Side>, scale: i32) -> Option<Vec<(i64, u64)>> {
    let Some(side) = side else { return Some(Vec::new()) };
    let mut counts: Vec<(i64, u64)> = Vec::new();
    for (index, count) in side.bucket_counts.iter().enumerate() {
        let index = i64::from(side.offset) + index as i64;
        let upper = match scale - SCALE {
            finer @ 0.. => (index >> finer) + 1,
            coarser => (index + 1) << -coarser,
        };
        match counts.last_mut() {
            Some((last, sum)) if *last == upper => *sum = sum.saturating_add(*count),
            _ => counts.push((upper, *count)),
        }
    }
    // A sender may send zeros around what it counted.
    let first = counts.iter().position(|(_, count)| *count > 0).unwrap_or(counts.len());
    counts.drain(..first);
    while counts.last().is_some_and(|(_, count)| *count == 0) {
        counts.pop();
    }
    (counts.len() as i64 <= MAX_BUCKETS).then_some(counts)
}

/// How far apart two bounds are on the grid.
fn step(scale: i32) -> i64 {
    if scale >= SCALE { 1 } else { 1 << (SCALE - scale) }
}

/// 2 to the power of k / 2; the same number each time, so that bounds can be compared.
fn power(k: i64) -> f64 {
    let whole = f64::from(i32::try_from(k.div_euclid(2)).unwrap_or(if k < 0 {
        i32::MIN
    } else {
        i32::MAX
    }));
    let half = if k.rem_euclid(2) == 1 { std::f64::consts::SQRT_2 } else { 1.0 };
    whole.exp2() * half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(scale: i32, offset: i32, counts: &[u64]) -> ExponentialHistogramDataPoint {
        ExponentialHistogramDataPoint {
            scale,
            zero_count: 1,
            sum: Some(9.0),
            positive: Some(Side { offset, bucket_counts: counts.to_vec() }),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    #[test]
    fn a_finer_scale_fits_into_the_grid_exactly() {
        // Scale 2: bounds are powers of the fourth root of 2; four buckets from 1 to 2.
        let buckets = buckets(&point(2, 0, &[1, 2, 3, 4])).unwrap();
        assert_eq!(buckets.bounds, [0.0, std::f64::consts::SQRT_2, 2.0]);
        assert_eq!(buckets.counts, [1, 3, 7, 0]);
        assert_eq!(buckets.count(), 11);
    }

    #[test]
    fn a_coarser_scale_has_some_of_the_bounds() {
        let buckets = buckets(&point(0, -1, &[1, 2])).unwrap();
        assert_eq!(buckets.bounds, [0.0, 1.0, 2.0]);
        assert_eq!(buckets.counts, [1, 1, 2, 0]);
    }

    #[test]
    fn what_is_negative_lies_below_zero() {
        let mut point = point(0, 0, &[5]);
        point.negative = Some(Side { offset: 0, bucket_counts: vec![2, 3] });
        let buckets = buckets(&point).unwrap();
        // From -4 to -2 three, from -2 to -1 two.
        assert_eq!(buckets.bounds, [-2.0, -1.0, 0.0, 2.0]);
        assert_eq!(buckets.counts, [3, 2, 1, 5, 0]);
    }

    #[test]
    fn no_point_makes_more_than_it_may() {
        assert_eq!(buckets(&point(99, 0, &[1])), None);
        assert_eq!(buckets(&point(0, 0, &vec![1; 1000])), None);
        for offset in [i32::MIN, -3000, 2040, i32::MAX - 3] {
            for scale in [-10, 0, 20] {
                if let Some(buckets) = buckets(&point(scale, offset, &[1, 1])) {
                    assert!(buckets.bounds.iter().all(|bound| bound.is_finite()));
                    assert_eq!(buckets.count(), 3);
                }
            }
        }
    }
}

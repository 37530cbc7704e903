//! What functions make of samples, exactly as Prometheus reckons it.

/// A time in nanoseconds, and the value at it.
pub(super) type Point = (i64, f64);

/// How much a counter grew in a range that ends at `end`; `None` when fewer than two samples lie in it.
///
/// The samples hardly ever lie at the range's ends, so what they show is extended towards them: up to the ends where
/// samples lie near, else by half of their distance; never to before where the counter would have been zero.
pub(super) fn increase(samples: &[Point], start: i64, end: i64) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 {
        return None;
    }
    let mut grown = last.1 - first.1;
    for pair in samples.windows(2) {
        // A smaller value than before is a counter that began again.
        if pair[1].1 < pair[0].1 {
            grown += pair[0].1;
        }
    }
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e9;
    let sampled = seconds(first.0, last.0);
    let between = sampled / (samples.len() - 1) as f64;
    let mut to_start = seconds(start, first.0);
    let to_end = seconds(last.0, end);
    if grown > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / grown));
    }
    let near = between * 1.1;
    let extended = [to_start, to_end].map(|gap| if gap < near { gap } else { between / 2.0 });
    Some(grown * (sampled + extended[0] + extended[1]) / sampled)
}

/// The value below which `quantile` of the observations lie; buckets are upper bounds with counts that hold all
/// smaller ones.
pub(super) fn quantile(quantile: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if quantile.is_nan() {
        return f64::NAN;
    }
    if quantile < 0.0 {
        return f64::NEG_INFINITY;
    }
    if quantile > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    // Of two senders one may have been read a moment later: a count is never below a smaller bound's.
    let mut most = 0.0_f64;
    for (_, count) in &mut buckets {
        most = most.max(*count);
        *count = most;
    }
    let Some((bound, total)) = buckets.last().copied() else { return f64::NAN };
    if bound != f64::INFINITY || buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = quantile * total;
    let at = buckets.partition_point(|(_, count)| *count < rank).min(buckets.len() - 1);
    if at == buckets.len() - 1 {
        return buckets[at - 1].0;
    }
    if at == 0 && buckets[0].0 <= 0.0 {
        return buckets[0].0;
    }
    let (low, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (high, upto) = buckets[at];
    low + (high - low) * (rank - below) / (upto - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_rate_is_extended_to_the_ends_of_its_range_and_knows_resets() {
        // Every 15 s ten more, the range of a minute cut so that the samples lie inside.
        let steady: Vec<_> =
            (0..4).map(|n| ((5 + 15 * n) * SECOND, 100.0 + 10.0 * n as f64)).collect();
        let grown = increase(&steady, 0, 60 * SECOND).unwrap();
        assert!((grown - 40.0).abs() < 1e-9, "{grown}");
        let reset = [(0, 10.0), (15 * SECOND, 20.0), (30 * SECOND, 5.0)];
        let grown = increase(&reset, 0, 30 * SECOND).unwrap();
        assert!((grown - 15.0).abs() < 1e-9, "{grown}");
        assert_eq!(increase(&[(0, 1.0)], 0, SECOND), None);
        // It was zero just before the first sample, so nothing is added before that.
        let young = [(30 * SECOND, 1.0), (45 * SECOND, 16.0)];
        let grown = increase(&young, 0, 45 * SECOND).unwrap();
        assert!((grown - 16.0).abs() < 1e-9, "{grown}");
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_of_its_bucket() {
        let buckets = vec![(0.1, 10.0), (0.5, 20.0), (1.0, 20.0), (f64::INFINITY, 40.0)];
        assert_eq!(quantile(0.25, buckets.clone()), 0.1);
        assert!((quantile(0.375, buckets.clone()) - 0.3).abs() < 1e-12);
        assert_eq!(quantile(0.99, buckets), 1.0);
        assert!(quantile(0.5, vec![(f64::INFINITY, 0.0), (1.0, 0.0)]).is_nan());
        assert!(quantile(0.5, vec![]).is_nan());
    }
}

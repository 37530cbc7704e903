//! The bounds of a histogram's buckets.

use super::name;

/// The bounds that a histogram may have. What is beyond is left out: nobody reads so many.
pub(super) const MAX_BOUNDS: usize = 200;

/// The conventions' bounds for seconds: in the specification's all of them would be in one bucket.
pub(super) const SECONDS_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Upper bounds, each larger than the one before, without the infinite one.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Bounds {
    pub(super) values: Box<[f64]>,
    /// As the label `le` has them and with what ends the labels, the infinite one last.
    pub(super) texts: Box<[Box<str>]>,
}

impl Bounds {
    /// Takes what is finite, in order, each once.
    pub(super) fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = bounds.into_iter().filter(|bound| bound.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.truncate(MAX_BOUNDS);
        let texts = values.iter().copied().chain([f64::INFINITY]);
        let texts = texts.map(|bound| format!("{}\"}} ", name::canonical(bound)).into()).collect();
        Self { values: values.into(), texts }
    }
}

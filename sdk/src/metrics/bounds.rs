//! The bounds of a histogram's buckets.

use super::name;

/// The bounds that a histogram may have. What is beyond is left out: nobody reads so many.
pub(super) const MAX_BOUNDS: usize = 200;

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

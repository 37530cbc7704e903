//! What a series stands at.

/// A series' value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(Buckets),
    /// Of a summary.
    Summary {
        /// Quantiles from 0 to 1, and what they are.
        quantiles: Vec<(f64, f64)>,
        /// The sum of all observations.
        sum: f64,
        /// How many there were.
        count: u64,
    },
    /// The sender says that there is none at this time.
    Gone,
}

/// Observations, counted by how large they were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// The buckets' upper bounds, rising; the last bucket's is +∞ and not among them.
    pub bounds: Vec<f64>,
    /// Observations in each bucket alone: one more than bounds.
    pub counts: Vec<u64>,
    /// The sum of all observations, where the sender knows it.
    pub sum: Option<f64>,
    /// Whether the bounds are a stretch of one fixed grid, so that those of two points can be united.
    pub on_grid: bool,
}

impl Value {
    /// Adds what has happened since to a value; false when the two do not fit together.
    pub fn add(&mut self, since: &Self) -> bool {
        match (self, since) {
            (Self::Number(sum), Self::Number(more)) => {
                *sum += more;
                true
            }
            (Self::Histogram(sum), Self::Histogram(more)) => {
                let mut more = more.clone();
                if !sum.unite(&mut more) {
                    return false;
                }
                for (sum, more) in sum.counts.iter_mut().zip(&more.counts) {
                    *sum = sum.saturating_add(*more);
                }
                sum.sum = sum.sum.zip(more.sum).map(|(sum, more)| sum + more);
                true
            }
            _ => false,
        }
    }

    /// Roughly what it takes in memory.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Number(_) | Self::Gone => 0,
                Self::Histogram(buckets) => 16 * buckets.counts.len(),
                Self::Summary { quantiles, .. } => 16 * quantiles.len(),
            }
    }
}

impl Buckets {
    /// How many observations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The bucket in which an observation lies.
    pub fn index_of(&self, value: f64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }

    /// Gives both the same bounds: as they are, or those of both where they lie on one grid. False when they differ
    /// otherwise; then neither has changed.
    pub fn unite(&mut self, other: &mut Self) -> bool {
        if self.bounds == other.bounds {
            return true;
        }
        if !(self.on_grid && other.on_grid) {
            return false;
        }
        let mut bounds: Vec<f64> = self.bounds.iter().chain(&other.bounds).copied().collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        self.spread(&bounds);
        other.spread(&bounds);
        true
    }

    /// Moves each count to the bucket with its upper bound among `bounds`, which hold all of its own.
    fn spread(&mut self, bounds: &[f64]) {
        let mut counts = vec![0; bounds.len() + 1];
        for (index, count) in self.counts.iter().enumerate() {
            let at = self
                .bounds
                .get(index)
                .map_or(bounds.len(), |bound| bounds.partition_point(|other| other < bound));
            counts[at] = *count;
        }
        self.counts = counts;
        self.bounds = bounds.to_vec();
    }
}

/// A number as Prometheus's formats write it.
pub fn number_text(number: f64) -> String {
    /// Up to here every integer is one of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if number.fract() == 0.0 && number.abs() <= EXACT {
        format!("{}", number as i64)
    } else {
        format!("{number:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_on_one_grid_are_united_and_others_must_be_equal() {
        let grid = |bounds: &[f64], counts: &[u64]| Buckets {
            bounds: bounds.to_vec(),
            counts: counts.to_vec(),
            sum: Some(1.0),
            on_grid: true,
        };
        let mut sum = Value::Histogram(grid(&[0.0, 2.0], &[0, 3, 0]));
        assert!(sum.add(&Value::Histogram(grid(&[0.0, 1.0, 2.0, 4.0], &[1, 1, 1, 1, 0]))));
        let Value::Histogram(sum) = sum else { panic!() };
        assert_eq!(sum.counts, [1, 1, 4, 1, 0]);
        assert_eq!(sum.sum, Some(2.0));

        let explicit = |bound| {
            Value::Histogram(Buckets {
                bounds: vec![bound],
                counts: vec![1, 0],
                ..Buckets::default()
            })
        };
        let mut sum = explicit(1.0);
        assert!(sum.add(&explicit(1.0)));
        assert!(!sum.add(&explicit(2.0)));
    }

    #[test]
    fn an_observation_on_a_bound_lies_below_it() {
        let buckets = Buckets { bounds: vec![1.0, 2.0], counts: vec![0; 3], ..Buckets::default() };
        assert_eq!([0.5, 1.0, 1.5, 2.5].map(|value| buckets.index_of(value)), [0, 0, 1, 2]);
    }

    #[test]
    fn numbers_are_written_so_that_they_are_read_back() {
        for (number, text) in [
            (3.0, "3"),
            (-0.5, "-0.5"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number_text(number), text);
        }
    }
}

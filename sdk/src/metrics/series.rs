//! The series of one family, by their labels, and never more than a cap of them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use opentelemetry::KeyValue;

use super::exemplar::unix_nanos;
use super::labels::{self, DefaultLabels, LabelSet, Pair};

/// The series that a family may have. What comes beyond is added up in one more.
pub(super) const MAX_SERIES: usize = 2_000;

/// One series: its labels, since when it counts, and its numbers.
#[derive(Debug)]
pub(super) struct Series<T> {
    pub(super) labels: Arc<LabelSet>,
    pub(super) start_nanos: u64,
    pub(super) data: T,
}

impl<T> Series<T> {
    pub(super) fn new(labels: LabelSet, data: T) -> Self {
        Self { labels: Arc::new(labels), start_nanos: unix_nanos(), data }
    }
}

/// What could not be counted where it belonged.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Look-ups that ended at an overflow series; what a handle observes that is kept is not looked up.
    pub(super) overflow: AtomicU64,
    /// Values that are no numbers, and decrements of counters.
    pub(super) invalid: AtomicU64,
    /// Instruments whose name is taken by another kind, and families that could not be read.
    pub(super) conflicts: AtomicU64,
    /// Scrapers that came when there were too many, or showed no certificate or token that is known.
    pub(super) refused_scrapers: AtomicU64,
}

impl Losses {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Every series of a family.
pub(super) struct SeriesMap<T> {
    by_hash: RwLock<ByHash<T>>,
    overflow: OnceLock<Arc<Series<T>>>,
    hasher: RandomState,
    defaults: DefaultLabels,
    losses: Arc<Losses>,
    make: Box<dyn Fn(&LabelSet) -> T + Send + Sync>,
}

struct ByHash<T> {
    series: HashMap<u64, Vec<Arc<Series<T>>>, BuildHasherDefault<AsItIs>>,
    count: usize,
}

impl<T> SeriesMap<T> {
    pub(super) fn new(
        defaults: DefaultLabels,
        losses: Arc<Losses>,
        make: impl Fn(&LabelSet) -> T + Send + Sync + 'static,
    ) -> Self {
        let by_hash = RwLock::new(ByHash { series: HashMap::default(), count: 0 });
        let make = Box::new(make);
        Self {
            by_hash,
            overflow: OnceLock::new(),
            hasher: RandomState::new(),
            defaults,
            losses,
            make,
        }
    }

    /// The series with these values for the family's labels, in their order.
    pub(super) fn with_values(
        &self,
        values: &[&str],
        labels: impl FnOnce() -> Vec<KeyValue>,
    ) -> Arc<Series<T>> {
        let hash = self.hasher.hash_one(values);
        self.find_or_make(hash, |set| set.has_values(values), labels)
    }

    /// The series with these labels, in this order.
    pub(super) fn with_pairs(&self, pairs: &[Pair<'_>]) -> Arc<Series<T>> {
        let hash = self.hasher.hash_one(pairs);
        self.find_or_make(hash, |set| set.has_pairs(pairs), || labels::owned(pairs))
    }

    /// The series with these attributes, whatever their order.
    pub(super) fn with_attributes(&self, attributes: &[KeyValue]) -> Arc<Series<T>> {
        let is_repeated = |(index, pair): (usize, &KeyValue)| {
            attributes[..index].iter().any(|a| a.key == pair.key)
        };
        if attributes.iter().enumerate().any(is_repeated) {
            return self.with_attributes(&last_of_each_key(attributes));
        }
        // The sum does not depend on the order.
        let hash =
            attributes.iter().fold(0_u64, |sum, pair| sum.wrapping_add(self.hasher.hash_one(pair)));
        self.find_or_make(hash, |set| set.has_attributes(attributes), || attributes.to_vec())
    }

    fn find_or_make(
        &self,
        hash: u64,
        is_it: impl Fn(&LabelSet) -> bool,
        labels: impl FnOnce() -> Vec<KeyValue>,
    ) -> Arc<Series<T>> {
        let find = |known: &ByHash<T>| {
            known.series.get(&hash)?.iter().find(|series| is_it(&series.labels)).map(Arc::clone)
        };
        let is_full = {
            let known = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = find(&known) {
                return series;
            }
            known.count >= MAX_SERIES
        };
        if is_full {
            return self.overflow();
        }
        let labels = LabelSet::new(labels(), &self.defaults);
        let mut known = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = find(&known) {
            return series;
        }
        if known.count >= MAX_SERIES {
            drop(known);
            return self.overflow();
        }
        let data = (self.make)(&labels);
        let series = Arc::new(Series::new(labels, data));
        known.series.entry(hash).or_default().push(Arc::clone(&series));
        known.count += 1;
        series
    }

    fn overflow(&self) -> Arc<Series<T>> {
        Losses::count(&self.losses.overflow);
        self.uncounted_overflow()
    }

    /// The series beyond the cap, for what was counted as going there already.
    pub(super) fn uncounted_overflow(&self) -> Arc<Series<T>> {
        let make = || {
            let labels = LabelSet::overflow(&self.defaults);
            let data = (self.make)(&labels);
            Arc::new(Series::new(labels, data))
        };
        Arc::clone(self.overflow.get_or_init(make))
    }

    /// Every series there is, the overflow's last. The lock is held for no longer than this copy.
    pub(super) fn all(&self) -> Vec<Arc<Series<T>>> {
        let known = self.by_hash.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = known.series.values().flatten().map(Arc::clone).collect();
        drop(known);
        all.extend(self.overflow.get().map(Arc::clone));
        all
    }
}

/// The last value that is given for a key is meant.
fn last_of_each_key(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut kept: Vec<KeyValue> = Vec::with_capacity(attributes.len());
    for pair in attributes {
        match kept.iter_mut().find(|earlier| earlier.key == pair.key) {
            Some(earlier) => earlier.value = pair.value.clone(),
            None => kept.push(pair.clone()),
        }
    }
    kept
}

/// The keys are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::labels::pair;

    fn map() -> SeriesMap<AtomicU64> {
        SeriesMap::new(DefaultLabels::default(), Arc::default(), |_| AtomicU64::default())
    }

    #[test]
    fn equal_labels_are_one_series() {
        let map = map();
        let get = |value: &str| map.with_values(&[value], || vec![pair("a", value)]);
        assert!(Arc::ptr_eq(&get("1"), &get("1")));
        assert!(!Arc::ptr_eq(&get("1"), &get("2")));
        let [one, two] = [pair("x", "1"), pair("y", "2")];
        let forth = map.with_attributes(&[one.clone(), two.clone()]);
        assert!(Arc::ptr_eq(&forth, &map.with_attributes(&[two.clone(), one.clone()])));
        let repeated = [pair("x", "0"), one, two];
        assert!(Arc::ptr_eq(&forth, &map.with_attributes(&repeated)));
    }

    #[test]
    fn beyond_the_cap_there_is_one_more_series_and_what_goes_there_is_counted() {
        let map = map();
        for number in 0..10_000 {
            let value = number.to_string();
            let series = map.with_values(&[&value], || vec![pair("a", value.as_str())]);
            series.data.fetch_add(1, Ordering::Relaxed);
        }
        let all = map.all();
        assert_eq!(all.len(), MAX_SERIES + 1);
        let overflow = all.last().unwrap();
        assert_eq!(&*overflow.labels.text, "otel_metric_overflow=\"true\"");
        assert_eq!(overflow.data.load(Ordering::Relaxed), 8_000);
        assert_eq!(map.losses.overflow.load(Ordering::Relaxed), 8_000);
        assert_eq!(map.with_values(&["7"], Vec::new).data.load(Ordering::Relaxed), 1);
    }
}

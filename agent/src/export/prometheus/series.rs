//! Where every series stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::samples::{Example, Family, Label, Labels, Point, Refused, Sender, Value};

/// What a series takes beside its labels, value and examples, roughly: the maps' nodes.
const SERIES_BYTES: usize = 256;

/// Names that `target_info` takes.
const TARGET_NAMES: [&str; 2] = ["target", "target_info"];

/// Looking for silent senders' series takes time, so a full exporter does it no more often.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A sweep makes so much room at once: a share of the whole.
const SWEEP_SHARE: usize = 16;

type Identity = Arc<[Label]>;

/// All series, within a bound.
#[derive(Debug)]
pub(super) struct AllSeries {
    families: BTreeMap<String, FamilySeries>,
    /// Which family has a sample's name.
    claimed: HashMap<String, String>,
    senders: BTreeMap<Identity, KnownSender>,
    bytes: usize,
    max_bytes: usize,
    expiration: Duration,
    swept: Option<Instant>,
}

/// The series of one name.
#[derive(Debug)]
pub(super) struct FamilySeries {
    pub(super) family: Family,
    pub(super) series: BTreeMap<Labels, Series>,
}

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    identity: Identity,
    scope: (Arc<str>, Arc<str>),
    start_unix_nano: u64,
    pub(super) time_unix_nano: u64,
    pub(super) value: Value,
    /// The newest of each bucket; of a counter one, as bucket 0.
    pub(super) examples: BTreeMap<usize, Example>,
    /// The sender has said that there is none; the value before is kept, so that deltas go on from it.
    is_gone: bool,
    /// What it takes for as long as it is there, and what it takes now.
    fixed_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct KnownSender {
    target: Labels,
    heard: Instant,
}

impl AllSeries {
    pub(super) fn new(max_bytes: usize, expiration: Duration) -> Self {
        Self {
            families: BTreeMap::new(),
            claimed: HashMap::new(),
            senders: BTreeMap::new(),
            bytes: 0,
            max_bytes,
            expiration,
            swept: None,
        }
    }

    /// How many there are; a histogram is one.
    pub(super) fn count(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes
    }

    /// The families that have anything to show, in the order of their names.
    pub(super) fn families(&self) -> impl Iterator<Item = &FamilySeries> {
        self.families.values()
    }

    /// Whether a series is shown.
    pub(super) fn is_shown(&self, series: &Series, now: Instant) -> bool {
        !series.is_gone && self.is_heard(&series.identity, now)
    }

    /// The labels of `target_info`, for each sender that is heard.
    pub(super) fn targets(&self, now: Instant) -> impl Iterator<Item = &Labels> {
        let heard = self.senders.iter().filter(move |(identity, _)| self.is_heard(identity, now));
        heard.map(|(_, sender)| &sender.target).filter(|target| !target.is_empty())
    }

    fn is_heard(&self, identity: &Identity, now: Instant) -> bool {
        let sender = self.senders.get(identity);
        sender.is_some_and(|sender| now.duration_since(sender.heard) <= self.expiration)
    }

    /// Takes a point in.
    pub(super) fn add(
        &mut self,
        sender: &Sender,
        family: &Family,
        mut point: Point,
        now: Instant,
    ) -> Result<(), Refused> {
        self.hear(sender, now)?;
        self.claim(family)?;
        if let Some(known) = self.find(family, &point.labels)
            && known.scope != point.scope
        {
            // Two libraries' series: the first keeps its labels, the second says whose it is.
            point.labels = point.labels_with_scope();
        }
        let identity = Arc::clone(&sender.identity);
        match self.find(family, &point.labels) {
            Some(series) => {
                let before = series.bytes;
                series.advance(identity, point)?;
                series.bytes = series.measure();
                let after = series.bytes;
                self.bytes = self.bytes + after - before;
                Ok(())
            }
            None => self.add_series(identity, family, point, now),
        }
    }

    fn find(&mut self, family: &Family, labels: &Labels) -> Option<&mut Series> {
        self.families.get_mut(&family.name)?.series.get_mut(labels)
    }

    fn add_series(
        &mut self,
        identity: Identity,
        family: &Family,
        point: Point,
        now: Instant,
    ) -> Result<(), Refused> {
        if point.value == Value::Gone {
            return Ok(());
        }
        // The family's names are reckoned for each of its series, which errs on the safe side.
        let fixed_bytes =
            SERIES_BYTES + label_bytes(&point.labels) + family.name.len() + family.help.len();
        let mut series = Series {
            identity,
            scope: point.scope,
            start_unix_nano: point.start_unix_nano,
            time_unix_nano: point.time_unix_nano,
            value: point.value,
            examples: BTreeMap::new(),
            is_gone: false,
            fixed_bytes,
            bytes: 0,
        };
        series.add_examples(point.examples);
        series.bytes = series.measure();
        self.make_room(series.bytes, now)?;
        self.bytes += series.bytes;
        let of_family = self.families.entry(family.name.clone()).or_insert_with(|| {
            for name in family.claimed_names() {
                self.claimed.insert(name, family.name.clone());
            }
            FamilySeries { family: family.clone(), series: BTreeMap::new() }
        });
        of_family.series.insert(point.labels, series);
        Ok(())
    }

    /// Notes that a sender lives.
    fn hear(&mut self, sender: &Sender, now: Instant) -> Result<(), Refused> {
        let bytes = label_bytes(&sender.target) + SERIES_BYTES;
        match self.senders.get_mut(&sender.identity) {
            Some(known) => {
                known.heard = now;
                if known.target != sender.target {
                    let before = label_bytes(&known.target) + SERIES_BYTES;
                    known.target = sender.target.clone();
                    self.bytes = self.bytes + bytes - before;
                }
                Ok(())
            }
            None => {
                self.make_room(bytes, now)?;
                self.bytes += bytes;
                let known = KnownSender { target: sender.target.clone(), heard: now };
                self.senders.insert(Arc::clone(&sender.identity), known);
                Ok(())
            }
        }
    }

    /// Checks that the family may have its names, or has them.
    fn claim(&mut self, family: &Family) -> Result<(), Refused> {
        if let Some(known) = self.families.get(&family.name) {
            let same = known.family.kind == family.kind;
            return if same { Ok(()) } else { Err(Refused::TypeConflict) };
        }
        let names = family.claimed_names();
        let is_taken = |name: &String| {
            TARGET_NAMES.contains(&name.as_str())
                || self.claimed.get(name).is_some_and(|owner| *owner != family.name)
        };
        if names.iter().any(is_taken) { Err(Refused::TypeConflict) } else { Ok(()) }
    }

    /// Lets the series of silent senders go until so much more fits; refuses when none are left to go.
    fn make_room(&mut self, bytes: usize, now: Instant) -> Result<(), Refused> {
        if self.bytes + bytes <= self.max_bytes {
            return Ok(());
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP_INTERVAL) {
            self.swept = Some(now);
            self.sweep(bytes.max(self.max_bytes / SWEEP_SHARE), now);
        }
        if self.bytes + bytes <= self.max_bytes { Ok(()) } else { Err(Refused::SeriesLimit) }
    }

    /// Removes senders that are silent, the longest silent first, with all of their series.
    fn sweep(&mut self, wanted_bytes: usize, now: Instant) {
        let mut bytes_of: HashMap<Identity, usize> = HashMap::new();
        for series in self.families.values().flat_map(|family| family.series.values()) {
            *bytes_of.entry(Arc::clone(&series.identity)).or_default() += series.bytes;
        }
        let mut silent: Vec<(Instant, Identity)> = self
            .senders
            .iter()
            .filter(|(_, sender)| now.duration_since(sender.heard) > self.expiration)
            .map(|(identity, sender)| (sender.heard, Arc::clone(identity)))
            .collect();
        silent.sort_by_key(|(heard, _)| *heard);
        let mut going = BTreeSet::new();
        let mut freed = 0;
        for (_, identity) in silent {
            if freed >= wanted_bytes {
                break;
            }
            freed += bytes_of.get(&identity).copied().unwrap_or(0);
            if let Some(sender) = self.senders.remove(&identity) {
                freed += label_bytes(&sender.target) + SERIES_BYTES;
            }
            going.insert(identity);
        }
        for family in self.families.values_mut() {
            family.series.retain(|_, series| !going.contains(&series.identity));
        }
        self.families.retain(|_, family| !family.series.is_empty());
        self.claimed.retain(|_, owner| self.families.contains_key(owner));
        self.bytes = self.bytes.saturating_sub(freed);
    }
}

impl Series {
    /// Moves on to a newer point.
    fn advance(&mut self, identity: Identity, point: Point) -> Result<(), Refused> {
        // A sender that keeps no time is believed in the order in which it sends.
        let is_newer = point.time_unix_nano == 0 || point.time_unix_nano > self.time_unix_nano;
        let started_anew = !point.is_delta && point.start_unix_nano > self.start_unix_nano;
        let is_of_before = !point.is_delta
            && point.start_unix_nano != 0
            && point.start_unix_nano < self.start_unix_nano;
        if is_of_before || !(is_newer || started_anew) {
            return Err(Refused::OutOfOrder);
        }
        self.identity = identity;
        self.time_unix_nano = point.time_unix_nano;
        self.is_gone = point.value == Value::Gone;
        if self.is_gone {
            return Ok(());
        }
        let mut value = point.value;
        let bounds_before = self.bounds().map(<[f64]>::to_vec);
        if point.is_delta {
            // What does not fit together, such as other bounds, begins at zero again.
            if !self.value.add(&value) {
                self.value = value;
            }
        } else {
            self.start_unix_nano = point.start_unix_nano;
            if let (Value::Histogram(before), Value::Histogram(now)) = (&mut self.value, &mut value)
            {
                // A bound that has been there stays there; without it a bucket's series would end.
                let _ = before.unite(now);
            }
            self.value = value;
        }
        if self.bounds().map(<[f64]>::to_vec) != bounds_before {
            let examples = std::mem::take(&mut self.examples);
            self.add_examples(examples.into_values().collect());
        }
        self.add_examples(point.examples);
        Ok(())
    }

    fn add_examples(&mut self, examples: Vec<Example>) {
        for example in examples {
            let bucket = match &self.value {
                Value::Histogram(buckets) => buckets.index_of(example.value),
                _ => 0,
            };
            let is_newest = self
                .examples
                .get(&bucket)
                .is_none_or(|known| known.time_unix_nano <= example.time_unix_nano);
            if is_newest {
                self.examples.insert(bucket, example);
            }
        }
    }

    fn bounds(&self) -> Option<&[f64]> {
        match &self.value {
            Value::Histogram(buckets) => Some(&buckets.bounds),
            _ => None,
        }
    }

    fn measure(&self) -> usize {
        let examples = self.examples.values();
        let examples: usize = examples.map(|example| 64 + label_bytes(&example.labels)).sum();
        self.fixed_bytes + self.value.size_bytes() + examples
    }
}

fn label_bytes(labels: &[Label]) -> usize {
    let of_one = |(name, value): &Label| size_of::<Label>() + name.len() + value.len();
    labels.iter().map(of_one).sum()
}

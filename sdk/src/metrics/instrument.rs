//! What the instruments have in common: a family makes their series, and reads them for a snapshot.

use std::sync::Arc;

use super::definition::Definition;
use super::labels::{DefaultLabels, LabelSet};
use super::series::{Losses, Series, SeriesMap};
use super::snapshot::{self, Point, Value};
use crate::config::ExemplarFilter;

/// What a registry gives to all its instruments.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) filter: ExemplarFilter,
    pub(super) losses: Arc<Losses>,
    pub(super) defaults: DefaultLabels,
}

/// A handle on one series, and how its numbers are made and read.
pub(super) trait Instrument: Clone {
    /// The numbers.
    type Core: Send + Sync + 'static;
    /// What makes one family of the kind differ from another.
    type Settings: Send + Sync + 'static;

    fn core(common: &Common, settings: &Self::Settings) -> Self::Core;
    fn of(series: Arc<Series<Self::Core>>) -> Self;
    fn value(core: &Self::Core) -> Value;
}

/// Something that a snapshot is made of.
pub(super) trait Source: Send + Sync {
    /// Adds the families of this moment.
    fn read(&self, families: &mut Vec<snapshot::Family>);
}

/// A family of our own instruments, or of OpenTelemetry's.
pub(super) struct InstrumentFamily<I: Instrument> {
    pub(super) definition: Arc<Definition>,
    pub(super) series: SeriesMap<I::Core>,
}

impl<I: Instrument> InstrumentFamily<I> {
    pub(super) fn new(definition: Definition, common: &Common, settings: I::Settings) -> Self {
        let of_series = common.clone();
        let make = move |_: &LabelSet| I::core(&of_series, &settings);
        let (defaults, losses) = (common.defaults.clone(), Arc::clone(&common.losses));
        Self { definition: Arc::new(definition), series: SeriesMap::new(defaults, losses, make) }
    }
}

impl<I: Instrument> Source for InstrumentFamily<I> {
    fn read(&self, families: &mut Vec<snapshot::Family>) {
        let point = |series: &Arc<Series<I::Core>>| Point {
            labels: Arc::clone(&series.labels),
            start_nanos: series.start_nanos,
            value: I::value(&series.data),
        };
        let points = self.series.all().iter().map(point).collect();
        families.push(snapshot::Family { definition: Arc::clone(&self.definition), points });
    }
}

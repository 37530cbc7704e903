//! The OpenTelemetry metrics API: what libraries record with `opentelemetry::global::meter` comes into the
//! same registry, under the names that Prometheus gives to it.
//!
//! Instruments of one name and kind are one family, whichever meter made them: a scraper knows no meters.
//! The API has no errors; an instrument that cannot be had is told in a line, counted, and records nothing.

mod observable;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::metrics::{
    AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, MeterProvider, ObservableCounter,
    ObservableGauge, ObservableUpDownCounter, SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::bounds::{Bounds, SECONDS_BOUNDS};
use super::definition::{Definition, Kind};
use super::exemplar::Exemplar;
use super::instrument::{Instrument, InstrumentFamily, Source};
use super::registry::Registry;
use super::series::Losses;
use super::{counter, gauge, histogram};
use observable::{Observables, ToNumber};

/// The specification's bounds, made for milliseconds.
const DEFAULT_BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];
/// What the specification allows for an instrument's name.
const MAX_NAME: usize = 255;

/// Gives libraries meters whose instruments are the registry's.
#[derive(Clone)]
pub(crate) struct RegistryMeters {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    families: Mutex<HashMap<String, Known>>,
}

/// A family that some instrument made.
#[derive(Clone)]
enum Known {
    Counter(Arc<InstrumentFamily<counter::Counter>>),
    UpDownCounter(Arc<InstrumentFamily<gauge::Gauge>>),
    Gauge(Arc<InstrumentFamily<gauge::Gauge>>),
    Histogram(Arc<InstrumentFamily<histogram::Histogram>>),
    Observable(Kind, Arc<Observables>),
}

impl RegistryMeters {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { shared: Arc::new(Shared { registry, families: Mutex::default() }) }
    }
}

impl MeterProvider for RegistryMeters {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(ScopedMeter { scope, shared: Arc::clone(&self.shared) }))
    }
}

struct ScopedMeter {
    scope: InstrumentationScope,
    shared: Arc<Shared>,
}

/// What every builder says.
struct Wanted<'a> {
    name: &'a str,
    unit: &'a str,
    help: &'a str,
}

macro_rules! wanted {
    ($builder:expr) => {
        Wanted {
            name: &$builder.name,
            unit: $builder.unit.as_deref().unwrap_or_default(),
            help: $builder.description.as_deref().unwrap_or_default(),
        }
    };
}

impl ScopedMeter {
    /// The family for an instrument: the one there is, or a new one.
    fn family<F>(
        &self,
        wanted: &Wanted<'_>,
        kind: Kind,
        find: impl Fn(&Known) -> Option<Arc<F>>,
        make: impl FnOnce(Definition) -> (Known, Arc<F>),
    ) -> Option<Arc<F>>
    where
        F: Source + 'static,
    {
        let registry = &self.shared.registry;
        // A line break in the help of a library is no reason to go without its metric.
        let help = wanted.help.replace(['\n', '\r'], " ");
        let definition = Definition::of_instrument(wanted.name, wanted.unit, &help, kind);
        let definition = Definition { scope: Some(self.scope.clone()), ..definition };
        let refusal = {
            let mut families = self.shared.families.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = families.get(&definition.name) {
                match find(known) {
                    Some(family) => return Some(family),
                    None => "its name is that of an instrument of another kind",
                }
            } else if !is_instrument_name(wanted.name) {
                "a name begins with a letter, and has at most 255 letters, digits and _ . - /"
            } else if registry.take_names(&definition) {
                let name = definition.name.clone();
                let (known, family) = make(definition);
                families.insert(name, known);
                drop(families);
                registry.add(Arc::clone(&family) as Arc<dyn Source>);
                return Some(family);
            } else {
                "its name is that of a metric of the service already"
            }
        };
        Losses::count(&registry.common().losses.conflicts);
        tracing::warn!(
            target: "spanline", meter = self.scope.name(), instrument = wanted.name,
            "an OpenTelemetry instrument records nothing: {refusal}; give it another name"
        );
        None
    }

    fn own<I: Instrument + 'static>(
        &self,
        wanted: &Wanted<'_>,
        kind: Kind,
        find: impl Fn(&Known) -> Option<Arc<InstrumentFamily<I>>>,
        known: impl FnOnce(Arc<InstrumentFamily<I>>) -> Known,
        settings: I::Settings,
    ) -> Option<Arc<InstrumentFamily<I>>> {
        self.family(wanted, kind, find, |definition| {
            let common = self.shared.registry.common();
            let family = Arc::new(InstrumentFamily::new(definition, common, settings));
            (known(Arc::clone(&family)), family)
        })
    }

    fn counter<T>(&self, wanted: &Wanted<'_>) -> Counter<T>
    where
        Recording<counter::Counter>: SyncInstrument<T>,
    {
        let find = |known: &Known| match known {
            Known::Counter(family) => Some(Arc::clone(family)),
            _ => None,
        };
        Counter::new(Arc::new(Recording(self.own(wanted, Kind::Counter, find, Known::Counter, ()))))
    }

    fn up_down_counter<T>(&self, wanted: &Wanted<'_>) -> UpDownCounter<T>
    where
        Recording<gauge::Gauge>: SyncInstrument<T>,
    {
        let find = |known: &Known| match known {
            Known::UpDownCounter(family) => Some(Arc::clone(family)),
            _ => None,
        };
        let family = self.own(wanted, Kind::UpDownCounter, find, Known::UpDownCounter, ());
        UpDownCounter::new(Arc::new(Recording(family)))
    }

    fn gauge<T>(&self, wanted: &Wanted<'_>) -> Gauge<T>
    where
        Setting: SyncInstrument<T>,
    {
        let find = |known: &Known| match known {
            Known::Gauge(family) => Some(Arc::clone(family)),
            _ => None,
        };
        Gauge::new(Arc::new(Setting(self.own(wanted, Kind::Gauge, find, Known::Gauge, ()))))
    }

    fn histogram<T>(&self, wanted: &Wanted<'_>, bounds: Option<Vec<f64>>) -> Histogram<T>
    where
        Recording<histogram::Histogram>: SyncInstrument<T>,
    {
        let find = |known: &Known| match known {
            Known::Histogram(family) => Some(Arc::clone(family)),
            _ => None,
        };
        let bounds = match bounds {
            Some(bounds) => Bounds::new(bounds),
            None if wanted.unit == "s" => Bounds::new(SECONDS_BOUNDS),
            None => Bounds::new(DEFAULT_BOUNDS),
        };
        let family = self.own(wanted, Kind::Histogram, find, Known::Histogram, Arc::new(bounds));
        Histogram::new(Arc::new(Recording(family)))
    }

    /// Takes the callbacks of an observable instrument; they run with every snapshot.
    fn observe<T: ToNumber>(&self, wanted: &Wanted<'_>, kind: Kind, callbacks: Vec<Callback<T>>) {
        let find = |known: &Known| match known {
            Known::Observable(known, family) if *known == kind => Some(Arc::clone(family)),
            _ => None,
        };
        let common = self.shared.registry.common();
        let family = self.family(wanted, kind, find, |definition| {
            let definition = Definition { is_observed: true, ..definition };
            let family = Arc::new(Observables::new(definition, common));
            (Known::Observable(kind, Arc::clone(&family)), family)
        });
        if let Some(family) = family {
            family.add(callbacks);
        }
    }
}

fn is_instrument_name(name: &str) -> bool {
    let may_follow = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(may_follow)
}

macro_rules! synchronous {
    ($($name:ident: $handle:ident<$number:ty> by $make:ident;)*) => {
        $(fn $name(&self, builder: InstrumentBuilder<'_, $handle<$number>>) -> $handle<$number> {
            self.$make(&wanted!(builder))
        })*
    };
}

macro_rules! observable {
    ($($name:ident: $handle:ident<$number:ty> as $kind:ident;)*) => {
        $(fn $name(
            &self,
            builder: AsyncInstrumentBuilder<'_, $handle<$number>, $number>,
        ) -> $handle<$number> {
            self.observe(&wanted!(builder), Kind::$kind, builder.callbacks);
            $handle::new()
        })*
    };
}

impl InstrumentProvider for ScopedMeter {
    synchronous! {
        u64_counter: Counter<u64> by counter;
        f64_counter: Counter<f64> by counter;
        i64_up_down_counter: UpDownCounter<i64> by up_down_counter;
        f64_up_down_counter: UpDownCounter<f64> by up_down_counter;
        u64_gauge: Gauge<u64> by gauge;
        i64_gauge: Gauge<i64> by gauge;
        f64_gauge: Gauge<f64> by gauge;
    }

    observable! {
        u64_observable_counter: ObservableCounter<u64> as Counter;
        f64_observable_counter: ObservableCounter<f64> as Counter;
        i64_observable_up_down_counter: ObservableUpDownCounter<i64> as UpDownCounter;
        f64_observable_up_down_counter: ObservableUpDownCounter<f64> as UpDownCounter;
        u64_observable_gauge: ObservableGauge<u64> as Gauge;
        i64_observable_gauge: ObservableGauge<i64> as Gauge;
        f64_observable_gauge: ObservableGauge<f64> as Gauge;
    }

    fn f64_histogram(&self, builder: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        self.histogram(&wanted!(builder), builder.boundaries.clone())
    }

    fn u64_histogram(&self, builder: HistogramBuilder<'_, Histogram<u64>>) -> Histogram<u64> {
        self.histogram(&wanted!(builder), builder.boundaries.clone())
    }
}

/// An instrument that records into a family; without one it records nothing.
struct Recording<I: Instrument>(Option<Arc<InstrumentFamily<I>>>);

/// A gauge, which is set.
struct Setting(Option<Arc<InstrumentFamily<gauge::Gauge>>>);

impl<I: Instrument> Recording<I> {
    fn record(&self, attributes: &[KeyValue], record: impl FnOnce(&I::Core)) {
        if let Some(family) = &self.0 {
            record(&family.series.with_attributes(attributes).data);
        }
    }
}

impl SyncInstrument<u64> for Recording<counter::Counter> {
    fn measure(&self, number: u64, attributes: &[KeyValue]) {
        self.record(attributes, |core| core.add(number, Exemplar::filtered(core.filter())));
    }
}

impl SyncInstrument<f64> for Recording<counter::Counter> {
    fn measure(&self, number: f64, attributes: &[KeyValue]) {
        self.record(attributes, |core| core.add_float(number, Exemplar::filtered(core.filter())));
    }
}

impl SyncInstrument<f64> for Recording<histogram::Histogram> {
    fn measure(&self, value: f64, attributes: &[KeyValue]) {
        self.record(attributes, |core| core.observe(value, Exemplar::filtered(core.filter())));
    }
}

impl SyncInstrument<u64> for Recording<histogram::Histogram> {
    fn measure(&self, value: u64, attributes: &[KeyValue]) {
        SyncInstrument::<f64>::measure(self, value.to_number().as_f64(), attributes);
    }
}

impl<T: ToNumber> SyncInstrument<T> for Recording<gauge::Gauge> {
    fn measure(&self, difference: T, attributes: &[KeyValue]) {
        self.record(attributes, |core| core.add(difference.to_number().as_f64()));
    }
}

impl<T: ToNumber> SyncInstrument<T> for Setting {
    fn measure(&self, value: T, attributes: &[KeyValue]) {
        if let Some(family) = &self.0 {
            family.series.with_attributes(attributes).data.set(value.to_number().as_f64());
        }
    }
}

#[cfg(test)]
mod tests;

//! Observable instruments: their callbacks are asked with every snapshot.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Callback};

use crate::metrics::definition::{Definition, Kind};
use crate::metrics::exemplar::unix_nanos;
use crate::metrics::instrument::{Common, Source};
use crate::metrics::labels::LabelSet;
use crate::metrics::series::{Losses, MAX_SERIES};
use crate::metrics::snapshot::{Family, Number, Point, Value};

/// The number types of the API.
pub(super) trait ToNumber: Send + Sync + 'static {
    fn to_number(self) -> Number;
}

impl ToNumber for u64 {
    fn to_number(self) -> Number {
        Number::Unsigned(self)
    }
}

impl ToNumber for i64 {
    fn to_number(self) -> Number {
        Number::Signed(self)
    }
}

impl ToNumber for f64 {
    fn to_number(self) -> Number {
        Number::Float(self)
    }
}

type Ask = dyn Fn(&Observations<'_>) + Send + Sync;

/// The callbacks of one name.
pub(super) struct Observables {
    definition: Arc<Definition>,
    common: Common,
    start_nanos: u64,
    callbacks: RwLock<Vec<Arc<Ask>>>,
}

impl Observables {
    pub(super) fn new(definition: Definition, common: &Common) -> Self {
        Self {
            definition: Arc::new(definition),
            common: common.clone(),
            start_nanos: unix_nanos(),
            callbacks: RwLock::default(),
        }
    }

    pub(super) fn add<T: ToNumber>(&self, callbacks: Vec<Callback<T>>) {
        let mut known = self.callbacks.write().unwrap_or_else(PoisonError::into_inner);
        for callback in callbacks {
            known.push(Arc::new(move |observations: &Observations<'_>| callback(observations)));
        }
    }
}

impl Source for Observables {
    fn read(&self, families: &mut Vec<Family>) {
        // A callback may make instruments: no lock is held while it runs.
        let callbacks = self.callbacks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let observations = Observations { family: self, points: Mutex::default() };
        for callback in callbacks {
            callback(&observations);
        }
        let points = observations.points.into_inner().unwrap_or_else(PoisonError::into_inner);
        families.push(Family { definition: Arc::clone(&self.definition), points });
    }
}

/// What the callbacks say in one snapshot.
pub(super) struct Observations<'a> {
    family: &'a Observables,
    points: Mutex<Vec<Point>>,
}

impl Observations<'_> {
    fn observe(&self, number: Number, attributes: &[KeyValue]) {
        let Observables { definition, common, start_nanos, .. } = self.family;
        let value = number.as_f64();
        if definition.kind == Kind::Counter && !(value.is_finite() && value >= 0.0) {
            Losses::count(&common.losses.invalid);
            return;
        }
        let mut points = self.points.lock().unwrap_or_else(PoisonError::into_inner);
        let found = points.iter_mut().find(|point| point.labels.has_attributes(attributes));
        if let Some(point) = found {
            // The last word counts.
            point.value = Value::Number { number, example: None };
            return;
        }
        if points.len() < MAX_SERIES {
            let labels = Arc::new(LabelSet::new(attributes.to_vec(), &common.defaults));
            let value = Value::Number { number, example: None };
            points.push(Point { labels, start_nanos: *start_nanos, value });
            return;
        }
        Losses::count(&common.losses.overflow);
        let overflow = points.get_mut(MAX_SERIES).map(|point| &mut point.value);
        if let Some(Value::Number { number: sum, .. }) = overflow {
            *sum = Number::Float(sum.as_f64() + value);
            return;
        }
        let labels = Arc::new(LabelSet::overflow(&common.defaults));
        let value = Value::Number { number, example: None };
        points.push(Point { labels, start_nanos: *start_nanos, value });
    }
}

impl<T: ToNumber> AsyncInstrument<T> for Observations<'_> {
    fn observe(&self, measurement: T, attributes: &[KeyValue]) {
        self.observe(measurement.to_number(), attributes);
    }
}

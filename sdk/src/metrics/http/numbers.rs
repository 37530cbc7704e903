//! The numbers of one series: of requests that are over, and of those that are under way.

use std::sync::atomic::Ordering;

use super::told::Ended;
use crate::metrics::exemplar::Exemplar;
use crate::metrics::histogram::HistogramCore;
use crate::metrics::shard::{Shards, Slot};
use crate::metrics::snapshot::{Number, Value};

/// The numbers of requests that are over. They share their labels, so that a request looks its series up once.
pub(super) struct Exchange {
    pub(super) duration: HistogramCore,
    pub(super) request_bytes: HistogramCore,
    pub(super) response_bytes: HistogramCore,
}

/// How many are under way: those that began on a thread less those that ended on it, added up.
pub(super) struct Active(Shards);

impl Exchange {
    #[inline]
    pub(super) fn observe(&self, ended: &Ended, exemplar: Option<Exemplar>) {
        self.duration.observe(ended.duration.as_secs_f64(), exemplar);
        #[expect(clippy::cast_precision_loss, reason = "no body is so large that it matters")]
        let observe = |sizes: &HistogramCore, bytes: Option<u64>| {
            if let Some(bytes) = bytes {
                sizes.observe(bytes as f64, exemplar);
            }
        };
        observe(&self.request_bytes, ended.request_bytes);
        observe(&self.response_bytes, ended.response_bytes);
    }
}

impl Active {
    pub(super) fn new() -> Self {
        Self(Shards::new(1))
    }

    #[inline]
    pub(super) fn add(&self, difference: i64) {
        if let Some(slot) = self.0.own().first() {
            // Two's complement: adding the bits of -1 takes one away.
            slot.bits.fetch_add(difference.cast_unsigned(), Ordering::Relaxed);
        }
    }

    pub(super) fn value(&self) -> Value {
        let of_shard = |slots: &[Slot]| {
            slots
                .iter()
                .fold(0_u64, |sum, slot| sum.wrapping_add(slot.bits.load(Ordering::Relaxed)))
        };
        let sum = self.0.all().fold(0_u64, |sum, slots| sum.wrapping_add(of_shard(slots)));
        // A request that goes from thread to thread while it is read may be seen to end only.
        let number = Number::Signed(sum.cast_signed().max(0));
        Value::Number { number, example: None }
    }
}

//! One delivery of several, all of one signal.

use std::sync::{Arc, Mutex, PoisonError};

use super::Queued;
use crate::ack::{Ack, Outcome};
use crate::record::Batch;

/// Joins deliveries. Each source hears of its own when the whole has been answered; the room is that of all of them.
pub(crate) fn join(first: Queued, more: Vec<Queued>) -> Queued {
    if more.is_empty() {
        return first;
    }
    let (whole, ack, mut room) = first.into_parts();
    let (mut whole, mut acks) = (Arc::unwrap_or_clone(whole), vec![ack]);
    for queued in more {
        let (batch, ack, other) = queued.into_parts();
        append(&mut whole, Arc::unwrap_or_clone(batch));
        acks.push(ack);
        room.merge(other);
    }
    Queued { batch: Arc::new(whole), ack: for_all(acks), room }
}

fn append(whole: &mut Batch, batch: Batch) {
    match (whole, batch) {
        (Batch::Logs(whole), Batch::Logs(batch)) => whole.extend(batch),
        (Batch::Spans(whole), Batch::Spans(batch)) => {
            whole.resource_spans.extend(batch.resource_spans);
        }
        (Batch::Metrics(whole), Batch::Metrics(batch)) => {
            whole.resource_metrics.extend(batch.resource_metrics);
        }
        // Whoever joins takes one signal only.
        _ => {}
    }
}

/// An ack whose answer all of these get.
fn for_all(acks: Vec<Ack>) -> Ack {
    let acks = Mutex::new(acks);
    Ack::new(move |outcome| {
        let acks = std::mem::take(&mut *acks.lock().unwrap_or_else(PoisonError::into_inner));
        if outcome == Outcome::Delivered {
            acks.into_iter().for_each(Ack::delivered);
        }
    })
}

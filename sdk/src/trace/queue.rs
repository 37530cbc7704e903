//! The bounded queue between those whose spans end and the one thread that sends them.
//!
//! A span is moved in under one lock, and the ledger is kept under the same lock: exact at every moment.
//! A batch that was taken stays in the account as queued until it is settled.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ledger::SpanLedger;
use crate::span::Ended;

/// A batch is no larger than this, or than one span. Receivers of gRPC take 4 MiB and refuse the whole of what is
/// larger; what spans take on the wire is less than what they take here.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct SpanQueue {
    max_spans: usize,
    max_bytes: usize,
    state: Mutex<State>,
    /// The exporter waits for spans, a flush or the end.
    pub(super) work: Notify,
    /// Whoever flushes or closes waits for the exporter.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Ended>,
    waiting_bytes: usize,
    /// Held by a batch on its way: it still is memory.
    sending_spans: usize,
    sending_bytes: usize,
    ledger: SpanLedger,
    /// Spans that were taken into the queue, ever.
    accepted: u64,
    /// A flush waits until so many are settled.
    urgent_until: u64,
    closed: Option<Instant>,
    is_exporter_gone: bool,
    /// The shutdown's deadline has passed: everything is accounted for, and stays so.
    is_given_up: bool,
}

/// Spans taken from the queue, in the order in which they ended.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) spans: Vec<Ended>,
    bytes: usize,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver took it, but for so many spans.
    Delivered { rejected: u64 },
    /// The receiver refused it for good.
    Refused,
    /// The sender panicked, or worse.
    Failed,
    /// The shutdown's deadline passed.
    TooLate,
}

/// What a batch owes the queue once its spans were encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Debt {
    spans: usize,
    bytes: usize,
}

impl SpanQueue {
    pub(super) fn new(max_spans: usize, max_bytes: usize) -> Self {
        Self {
            max_spans,
            max_bytes,
            state: Mutex::default(),
            work: Notify::new(),
            progress: Condvar::new(),
        }
    }

    /// Takes a span that ended out of its place, or leaves it there and counts it as dropped. Never waits for the exporter.
    pub(super) fn push(&self, place: &mut Option<Ended>, batch_spans: usize) {
        let Some(span) = place else { return };
        let bytes = span.bytes();
        let mut state = self.lock();
        state.ledger.ended += 1;
        if state.closed.is_some() {
            state.ledger.dropped.shutdown += 1;
            return;
        }
        let spans = state.waiting.len() + state.sending_spans;
        if spans >= self.max_spans
            || state.waiting_bytes + state.sending_bytes + bytes > self.max_bytes
        {
            state.ledger.dropped.queue_full += 1;
            return;
        }
        state.ledger.queued += 1;
        state.accepted += 1;
        let had_batch = state.waiting_bytes >= BATCH_BYTES;
        state.waiting_bytes += bytes;
        state.waiting.extend(place.take());
        // The first span starts the delay, a full batch ends it; in between nobody need be woken.
        let wakes = state.waiting.len() == 1
            || state.waiting.len() == batch_spans
            || (!had_batch && state.waiting_bytes >= BATCH_BYTES);
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    pub(crate) fn ledger(&self) -> SpanLedger {
        self.lock().ledger
    }

    /// Sends what has ended so far; `false` if the deadline passed first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let target = state.settled() + state.ledger.queued;
        state.urgent_until = target;
        self.work.notify_one();
        // Spans are sent in the order in which they ended, so the count says which were.
        self.wait_until(state, deadline, |state| state.settled() >= target)
    }

    /// Takes no more spans, sends what waits, and drops what is left at the deadline; `false` if
    /// something was. May be called again.
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        if state.closed.is_none() {
            state.closed = Some(deadline);
        }
        self.work.notify_one();
        let done = self.wait_until(state, deadline, |state| state.ledger.queued == 0);
        if !done {
            self.lock().give_up();
        }
        done
    }

    fn wait_until(
        &self,
        state: MutexGuard<'_, State>,
        deadline: Instant,
        is_reached: impl Fn(&State) -> bool,
    ) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .progress
            .wait_timeout_while(state, left, |state| !is_reached(state) && !state.is_exporter_gone);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        is_reached(&state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === the exporter's side ===

impl SpanQueue {
    /// The next batch: when `max_spans` wait or [`BATCH_BYTES`], when the first of them has waited for `delay`, at a flush,
    /// or at the end; `None` when the queue is closed and empty.
    pub(super) async fn next_batch(&self, max_spans: usize, delay: Duration) -> Option<Batch> {
        let mut send_at = None;
        loop {
            {
                let mut state = self.lock();
                let waiting = state.waiting.len();
                let is_due = send_at.is_some_and(|at| Instant::now() >= at);
                let is_full = waiting >= max_spans || state.waiting_bytes >= BATCH_BYTES;
                if is_full || (waiting > 0 && (is_due || state.is_urgent())) {
                    return Some(state.take(max_spans, BATCH_BYTES));
                }
                if state.closed.is_some() {
                    return None;
                }
                if waiting > 0 && send_at.is_none() {
                    send_at = Some(Instant::now() + delay);
                }
            }
            match send_at {
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    // Both ways lead back to a look at the queue.
                    drop(tokio::time::timeout(left, self.work.notified()).await);
                }
                None => self.work.notified().await,
            }
        }
    }

    /// Everything that waits, and as good as delivered.
    #[cfg(feature = "testing")]
    pub(super) fn take_all(&self) -> Vec<Ended> {
        let batch = self.lock().take(usize::MAX, usize::MAX);
        self.settle(batch.debt(), Outcome::Delivered { rejected: 0 });
        batch.spans
    }

    /// Accounts for a batch.
    pub(super) fn settle(&self, debt: Debt, outcome: Outcome) {
        let mut state = self.lock();
        if state.is_given_up {
            return;
        }
        let spans = debt.spans as u64;
        state.sending_spans -= debt.spans;
        state.sending_bytes -= debt.bytes;
        state.ledger.queued -= spans;
        let dropped = &mut state.ledger.dropped;
        match outcome {
            Outcome::Delivered { rejected } => {
                // A receiver may claim to have rejected more than it was given.
                let rejected = rejected.min(spans);
                dropped.rejected += rejected;
                state.ledger.exported += spans - rejected;
            }
            Outcome::Refused => dropped.rejected += spans,
            Outcome::Failed => dropped.exporter_failed += spans,
            Outcome::TooLate => dropped.shutdown += spans,
        }
        self.progress.notify_all();
    }

    /// The shutdown's deadline, once it has begun.
    pub(super) fn closed(&self) -> Option<Instant> {
        self.lock().closed
    }

    /// Whether somebody waits for spans to be sent.
    pub(super) fn is_urgent(&self) -> bool {
        self.lock().is_urgent()
    }

    /// The exporter has ended: what is left will never be sent.
    pub(super) fn exporter_is_gone(&self) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(Instant::now);
        state.is_exporter_gone = true;
        state.give_up();
        self.progress.notify_all();
    }
}

impl State {
    /// Spans that were queued once and are not any more.
    fn settled(&self) -> u64 {
        self.accepted - self.ledger.queued
    }

    fn is_urgent(&self) -> bool {
        self.settled() < self.urgent_until || self.closed.is_some()
    }

    fn take(&mut self, max_spans: usize, max_bytes: usize) -> Batch {
        let (mut count, mut bytes) = (0, 0);
        for span in self.waiting.iter().take(max_spans) {
            let with_it = bytes + span.bytes();
            if count > 0 && with_it > max_bytes {
                break;
            }
            (count, bytes) = (count + 1, with_it);
        }
        let spans = self.waiting.drain(..count).collect();
        self.waiting_bytes -= bytes;
        self.sending_spans += count;
        self.sending_bytes += bytes;
        Batch { spans, bytes }
    }

    /// Counts all that is left as dropped; what is on its way may still arrive, and nobody will know.
    fn give_up(&mut self) {
        self.drop_waiting();
        self.ledger.dropped.shutdown += self.ledger.queued;
        self.ledger.queued = 0;
        self.is_given_up = true;
    }

    fn drop_waiting(&mut self) {
        let count = self.waiting.len() as u64;
        self.ledger.queued -= count;
        self.ledger.dropped.shutdown += count;
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }
}

impl Batch {
    /// What has to be settled for it.
    pub(super) fn debt(&self) -> Debt {
        Debt { spans: self.spans.len(), bytes: self.bytes }
    }
}

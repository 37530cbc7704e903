//! The bounded queue between those who log and the one thread that writes.
//!
//! Lines are copied into chunks under one lock; that copy is all that ever happens under it, so a
//! caller waits for other callers' copies and never for the output. The queue is bounded by bytes.
//! The account is kept under the same lock, hence exact at every moment.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ledger::{LineDrops, LineLedger};

/// What the writer hands to the system at once: as much as a pipe holds.
const CHUNK_BYTES: usize = 64 * 1024;
/// Empty chunks kept for use again.
const SPARE_CHUNKS: usize = 4;
/// After a write the writer waits this long before it looks again. While it does, callers need not
/// wake it: under load that saves a system call for nearly every line.
const LINGER: Duration = Duration::from_millis(1);
/// So much waiting ends the lingering early.
const LINGER_BYTES: usize = CHUNK_BYTES / 2;

/// Whole lines, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: u64,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write these.
    Lines(Chunk),
    /// There was nothing to write until the agreed time.
    Idle,
    /// End: the ring is closed and empty.
    Closed,
}

/// How much a line matters when room is scarce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    Normal,
    /// WARN and ERROR: they may use the reserve.
    High,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    queue_bytes: usize,
    reserved_bytes: usize,
    chunk_bytes: usize,
    /// For each [`Priority`]: a line did not fit, and nothing has made room since. Changes under the lock only.
    is_full: [AtomicBool; 2],
    state: Mutex<State>,
    /// The writer waits for lines.
    work: Condvar,
    /// Whoever flushes waits for the writer.
    progress: Condvar,
}

#[derive(Debug, Default)]
struct State {
    filling: Chunk,
    full: VecDeque<Chunk>,
    spare: Vec<Vec<u8>>,
    /// Bytes that wait, those in the writer's hands included.
    waiting_bytes: usize,
    /// Lines that were taken into the queue, ever.
    accepted: u64,
    ledger: LineLedger,
    writer: Writer,
    is_closed: bool,
    /// The shutdown's deadline has passed: everything is accounted for.
    is_given_up: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writer {
    /// It will look at the queue by itself.
    #[default]
    Busy,
    /// It waits a moment, or for much to do.
    Lingering,
    /// It waits for anything to do.
    Parked,
    /// It has ended.
    Gone,
}

impl Ring {
    pub(crate) fn new(queue_bytes: usize, reserved_bytes: usize, max_line_bytes: usize) -> Self {
        Self {
            // A queue that cannot hold one line would drop everything.
            queue_bytes: queue_bytes.max(max_line_bytes),
            reserved_bytes: reserved_bytes.min(queue_bytes.saturating_sub(max_line_bytes)),
            chunk_bytes: CHUNK_BYTES.max(max_line_bytes),
            is_full: Default::default(),
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    /// Drops a line that is not made yet, if there is no room: to make it would be for nothing. Once a line did
    /// not fit, shorter ones have to wait for room as well.
    #[inline]
    pub(crate) fn refuses(&self, priority: Priority) -> bool {
        self.is_full(priority).load(Ordering::Relaxed) && self.refuses_under_lock(priority)
    }

    fn refuses_under_lock(&self, priority: Priority) -> bool {
        let mut state = self.lock();
        let is_full = self.is_full(priority).load(Ordering::Relaxed);
        if is_full {
            state.ledger.emitted += 1;
            state.ledger.dropped.queue_full += 1;
        }
        is_full
    }

    fn is_full(&self, priority: Priority) -> &AtomicBool {
        let [normal, high] = &self.is_full;
        match priority {
            Priority::Normal => normal,
            Priority::High => high,
        }
    }

    /// There is room, or an end of all: lines are looked at one by one again.
    fn is_full_no_more(&self) {
        self.is_full.iter().for_each(|is_full| is_full.store(false, Ordering::Relaxed));
    }

    /// Takes a line, or counts it as dropped. Never waits for the output.
    pub(crate) fn push(&self, line: &[u8], priority: Priority) {
        let mut state = self.lock();
        state.ledger.emitted += 1;
        if state.is_closed {
            state.ledger.dropped.shutdown += 1;
            return;
        }
        let kept_free = if priority == Priority::High { 0 } else { self.reserved_bytes };
        let needed = (state.waiting_bytes + line.len()).saturating_add(kept_free);
        if needed > self.queue_bytes {
            state.ledger.dropped.queue_full += 1;
            self.is_full(priority).store(true, Ordering::Relaxed);
            return;
        }
        state.append(line, self.chunk_bytes);
        let must_wake = match state.writer {
            Writer::Parked => true,
            Writer::Lingering => state.waiting_bytes >= LINGER_BYTES,
            Writer::Busy | Writer::Gone => false,
        };
        if must_wake {
            state.writer = Writer::Busy;
            drop(state);
            self.work.notify_one();
        }
    }

    /// Counts a line that was never made.
    pub(crate) fn count_recursion(&self) {
        let mut state = self.lock();
        state.ledger.emitted += 1;
        state.ledger.dropped.recursion += 1;
    }

    pub(crate) fn ledger(&self) -> LineLedger {
        self.lock().ledger
    }

    /// Waits until every line taken so far is written or dropped; `false` if the deadline was first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        let target = state.accepted;
        self.wake_writer(&mut state);
        self.wait_until(state, deadline, |state| state.settled() >= target)
    }

    /// Takes no more lines, waits until the writer has ended; if the deadline comes first, all that is left
    /// is counted as dropped. What the writer has in its hands may be written after all, if the process lives
    /// on and somebody reads: it is counted as written then.
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        state.is_closed = true;
        self.is_full_no_more();
        self.wake_writer(&mut state);
        if self.wait_until(state, deadline, |state| state.writer == Writer::Gone) {
            return true;
        }
        self.lock().give_up();
        self.progress.notify_all();
        false
    }

    fn wake_writer(&self, state: &mut State) {
        if matches!(state.writer, Writer::Parked | Writer::Lingering) {
            state.writer = Writer::Busy;
            self.work.notify_one();
        }
    }

    fn wait_until(
        &self,
        state: MutexGuard<'_, State>,
        deadline: Instant,
        is_reached: impl Fn(&State) -> bool,
    ) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.progress.wait_timeout_while(state, left, |state| {
            !is_reached(state) && state.writer != Writer::Gone
        });
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        is_reached(&state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === the writer's side ===

impl Ring {
    /// The next lines, as soon as there are any, or word that there were none until `wake_at`.
    pub(crate) fn take(&self, wake_at: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(chunk) = state.pop() {
                state.writer = Writer::Busy;
                return Next::Lines(chunk);
            }
            if state.is_closed {
                return Next::Closed;
            }
            let left = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                state.writer = Writer::Busy;
                return Next::Idle;
            }
            state.writer = Writer::Parked;
            state = match left {
                Some(left) => {
                    let waited = self.work.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Accounts for a chunk: so many of its lines were written, the rest was refused.
    pub(crate) fn settle(&self, chunk: Chunk, written: u64) {
        let mut state = self.lock();
        let is_given_up = state.is_given_up;
        let ledger = &mut state.ledger;
        // What was given up is in the account already, as dropped.
        let owed = if is_given_up { &mut ledger.dropped.shutdown } else { &mut ledger.queued };
        *owed -= chunk.lines;
        ledger.written += written;
        ledger.dropped.io_error += chunk.lines - written;
        state.waiting_bytes -= chunk.bytes.len();
        self.is_full_no_more();
        state.keep_spare(chunk.bytes);
        self.progress.notify_all();
    }

    /// Waits a moment for more lines; not if there is something to hurry for.
    pub(crate) fn linger(&self) {
        let mut state = self.lock();
        if state.is_closed || state.waiting_bytes >= LINGER_BYTES {
            return;
        }
        state.writer = Writer::Lingering;
        let waited =
            self.work.wait_timeout_while(state, LINGER, |state| state.writer == Writer::Lingering);
        waited.unwrap_or_else(PoisonError::into_inner).0.writer = Writer::Busy;
    }

    /// Drops so far, and whether nothing waits at this moment.
    pub(crate) fn drops(&self) -> (LineDrops, bool) {
        let state = self.lock();
        (state.ledger.dropped, state.waiting_bytes == 0)
    }

    /// The writer has ended, by itself or by a panic: what it has left will never be written.
    pub(crate) fn writer_is_gone(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.is_full_no_more();
        state.writer = Writer::Gone;
        state.drop_waiting();
        // What it had in its hands when it panicked is as good as refused.
        let in_hand = std::mem::take(&mut state.ledger.queued);
        state.ledger.dropped.io_error += in_hand;
        state.waiting_bytes = 0;
        self.progress.notify_all();
    }
}

impl State {
    fn append(&mut self, line: &[u8], chunk_bytes: usize) {
        if self.filling.bytes.len() + line.len() > chunk_bytes && self.filling.lines > 0 {
            let full = std::mem::take(&mut self.filling);
            self.full.push_back(full);
        }
        if self.filling.bytes.capacity() == 0 {
            self.filling.bytes =
                self.spare.pop().unwrap_or_else(|| Vec::with_capacity(chunk_bytes));
        }
        self.filling.bytes.extend_from_slice(line);
        self.filling.lines += 1;
        self.waiting_bytes += line.len();
        self.accepted += 1;
        self.ledger.queued += 1;
    }

    fn pop(&mut self) -> Option<Chunk> {
        self.full.pop_front().or_else(|| {
            let has_lines = self.filling.lines > 0;
            has_lines.then(|| std::mem::take(&mut self.filling))
        })
    }

    fn settled(&self) -> u64 {
        self.accepted - self.ledger.queued
    }

    /// Counts all that is left as dropped.
    fn give_up(&mut self) {
        if self.is_given_up || self.writer == Writer::Gone {
            return;
        }
        self.drop_waiting();
        self.is_given_up = true;
        self.ledger.dropped.shutdown += std::mem::take(&mut self.ledger.queued);
    }

    fn drop_waiting(&mut self) {
        while let Some(chunk) = self.pop() {
            self.ledger.queued -= chunk.lines;
            self.ledger.dropped.shutdown += chunk.lines;
            self.waiting_bytes -= chunk.bytes.len();
        }
        self.spare = Vec::new();
    }

    fn keep_spare(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_CHUNKS && !self.is_closed {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

//! What takes lines: the queue of a writer, or nothing at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::ledger::{LineDrops, LineLedger};
use super::ring::{Priority, Ring};
use crate::thread_number::thread_number;

/// Takes every line, and keeps the account.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Lines wait for the writer.
    Ring(Arc<Ring>),
    /// Lines are made and counted, and that is all.
    Discard(Box<Counts>),
}

impl Sink {
    pub(crate) fn discard() -> Self {
        Self::Discard(Box::default())
    }

    /// See [`Ring::refuses`].
    #[inline]
    pub(crate) fn refuses(&self, priority: Priority) -> bool {
        match self {
            Self::Ring(ring) => ring.refuses(priority),
            Self::Discard(_) => false,
        }
    }

    /// Takes a line, or counts it as dropped.
    pub(crate) fn push(&self, line: &[u8], priority: Priority) {
        match self {
            Self::Ring(ring) => ring.push(line, priority),
            Self::Discard(counts) => counts.count(),
        }
    }

    /// Counts a line that was never made.
    pub(crate) fn count_recursion(&self) {
        match self {
            Self::Ring(ring) => ring.count_recursion(),
            Self::Discard(counts) => drop(counts.recursion.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(crate) fn ledger(&self) -> LineLedger {
        match self {
            Self::Ring(ring) => ring.ledger(),
            Self::Discard(counts) => counts.ledger(),
        }
    }

    /// See [`Ring::flush`].
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        match self {
            Self::Ring(ring) => ring.flush(deadline),
            Self::Discard(_) => true,
        }
    }

    /// See [`Ring::close`].
    pub(crate) fn close(&self, deadline: Instant) -> bool {
        match self {
            Self::Ring(ring) => ring.close(deadline),
            Self::Discard(counts) => {
                counts.is_closed.store(true, Ordering::Relaxed);
                true
            }
        }
    }
}

/// So many threads count without touching each other's memory; more of them share.
const STRIPES: usize = 16;

/// The account of lines that nobody keeps.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    written: [Stripe; STRIPES],
    shutdown: AtomicU64,
    recursion: AtomicU64,
    is_closed: AtomicBool,
}

/// A counter with its neighbours at a distance: two threads that count side by side would otherwise wait
/// for each other's caches. Processors fetch lines of 64 bytes in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Counts {
    fn count(&self) {
        let counter = if self.is_closed.load(Ordering::Relaxed) {
            &self.shutdown
        } else {
            &self.written[thread_number() % STRIPES].0
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn ledger(&self) -> LineLedger {
        let written = self.written.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum();
        let dropped = LineDrops {
            shutdown: self.shutdown.load(Ordering::Relaxed),
            recursion: self.recursion.load(Ordering::Relaxed),
            ..LineDrops::default()
        };
        LineLedger { emitted: written + dropped.total(), written, queued: 0, dropped }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_is_discarded_is_counted_from_every_thread_until_the_end() {
        let sink = Sink::discard();
        thread::scope(|scope| {
            for _ in 0..STRIPES + 4 {
                scope.spawn(|| (0..100).for_each(|_| sink.push(b"line\n", Priority::Normal)));
            }
        });
        let lines = (STRIPES as u64 + 4) * 100;
        assert!(sink.flush(Instant::now()) && sink.close(Instant::now()));
        sink.push(b"late\n", Priority::High);
        sink.count_recursion();
        let dropped = LineDrops { shutdown: 1, recursion: 1, ..LineDrops::default() };
        let expected = LineLedger { emitted: lines + 2, written: lines, queued: 0, dropped };
        assert_eq!(sink.ledger(), expected);
    }
}

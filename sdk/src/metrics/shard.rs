//! Where a number is kept so that threads do not fight over it: in several pieces, each of a thread's own
//! as far as there are enough of them, which are added up when they are read.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::exemplar::{Exemplar, ExemplarCell};
use crate::thread_number::thread_number;

/// More do not help: a number is touched by the threads that run at one time.
const MAX_SHARDS: usize = 8;

/// A number and its example, in a cache line of their own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Slot {
    pub(super) bits: AtomicU64,
    pub(super) exemplar: ExemplarCell,
}

/// The pieces of some numbers that belong together. A piece is made when the first thread of its own
/// comes, so that a series that few threads touch is small.
#[derive(Debug)]
pub(super) struct Shards {
    shards: Box<[OnceLock<Box<[Slot]>>]>,
    slots: usize,
}

impl Shards {
    pub(super) fn new(slots: usize) -> Self {
        Self { shards: (0..count()).map(|_| OnceLock::new()).collect(), slots }
    }

    /// The piece of this thread.
    #[inline]
    pub(super) fn own(&self) -> &[Slot] {
        // The number of shards is a power of two.
        let index = thread_number() & (self.shards.len() - 1);
        self.shards[index].get_or_init(|| (0..self.slots).map(|_| Slot::default()).collect())
    }

    /// The pieces that there are.
    pub(super) fn all(&self) -> impl Iterator<Item = &[Slot]> {
        self.shards.iter().filter_map(|shard| shard.get().map(|slots| &**slots))
    }

    /// The newest example of a slot.
    pub(super) fn exemplar(&self, slot: usize) -> Option<(f64, Exemplar)> {
        let examples = self.all().filter_map(|slots| slots.get(slot)?.exemplar.get());
        examples.max_by_key(|(_, exemplar)| exemplar.unix_nanos)
    }
}

fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        threads.next_power_of_two().min(MAX_SHARDS)
    })
}

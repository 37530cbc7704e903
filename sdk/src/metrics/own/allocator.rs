//! What jemalloc says of itself, if the service has it as its global allocator.

use std::hint::black_box;

use tikv_jemalloc_ctl::{epoch, stats, thread};

use super::{Read, Readings};

/// Reads jemalloc's statistics.
pub(in crate::metrics) struct Allocator {
    /// The library is linked also where another allocator does the work; its numbers say nothing then.
    is_in_use: bool,
}

impl Allocator {
    pub(in crate::metrics) fn new() -> Self {
        Self { is_in_use: allocates_by_jemalloc().unwrap_or(false) }
    }
}

/// Whether memory that this thread asks for comes from jemalloc.
fn allocates_by_jemalloc() -> Option<bool> {
    let allocated = thread::allocatedp::read().ok()?;
    let before = allocated.get();
    drop(black_box(Vec::<u8>::with_capacity(4096)));
    Some(allocated.get() != before)
}

impl Read for Allocator {
    fn read(&self, readings: &mut Readings<'_>) {
        // The numbers stand still until the epoch moves on.
        if !self.is_in_use || epoch::advance().is_err() {
            return;
        }
        for (name, bytes) in [
            ("spanline_jemalloc_allocated_bytes", stats::allocated::read()),
            ("spanline_jemalloc_active_bytes", stats::active::read()),
            ("spanline_jemalloc_metadata_bytes", stats::metadata::read()),
            ("spanline_jemalloc_resident_bytes", stats::resident::read()),
            ("spanline_jemalloc_mapped_bytes", stats::mapped::read()),
            ("spanline_jemalloc_retained_bytes", stats::retained::read()),
        ] {
            if let Ok(bytes) = bytes {
                readings.unsigned(name, bytes as u64);
            }
        }
    }
}

//! One time slice, and the list of all of them that the writer and the readers share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// One file of the store.
#[derive(Debug)]
pub(super) struct Slice {
    /// Counts up with every slice, so that it orders them by arrival.
    pub(super) number: u64,
    /// Its SQLite file.
    pub(super) path: PathBuf,
    /// When its lines were written.
    pub(super) lines: TimeBounds,
    /// When its spans started.
    pub(super) spans: TimeBounds,
    /// When its metrics' points were taken; empty in a slice of the first version.
    pub(super) points: TimeBounds,
    sealed: AtomicBool,
    damaged: AtomicBool,
}

/// The earliest and latest time in a slice: it may say too much, never too little.
#[derive(Debug)]
pub(super) struct TimeBounds {
    min_unix_nano: AtomicI64,
    max_unix_nano: AtomicI64,
}

/// All slices, oldest first. A reader takes a snapshot and is not disturbed by retention: a
/// deleted file lives on while it is open.
#[derive(Debug, Default)]
pub(super) struct Slices {
    list: RwLock<Arc<Vec<Arc<Slice>>>>,
}

impl Slice {
    pub(super) fn new(number: u64, path: PathBuf) -> Self {
        Self {
            number,
            path,
            lines: TimeBounds::default(),
            spans: TimeBounds::default(),
            points: TimeBounds::default(),
            sealed: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
        }
    }

    /// Whether nothing has been written to it since it was made.
    pub(super) fn is_empty(&self) -> bool {
        [&self.lines, &self.spans, &self.points].iter().all(|times| times.latest().is_none())
    }

    /// Says that the file will never change again, so that readers need no locks on it.
    pub(super) fn seal(&self) {
        self.sealed.store(true, Ordering::Release);
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Leaves the slice out of every later query, with one warning.
    pub(super) fn mark_damaged(&self, error: &rusqlite::Error) {
        if !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                file = %self.path.display(), %error,
                "a slice of the store is damaged and no longer shown; retention will delete it",
            );
        }
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }
}

impl TimeBounds {
    /// Takes in one more time; called before the row is committed, so that no reader misses it.
    pub(super) fn widen(&self, time_unix_nano: i64) {
        self.min_unix_nano.fetch_min(time_unix_nano, Ordering::AcqRel);
        self.max_unix_nano.fetch_max(time_unix_nano, Ordering::AcqRel);
    }

    /// Whether anything may lie between two times, the end excluded.
    pub(super) fn overlaps(&self, start_unix_nano: i64, end_unix_nano: i64) -> bool {
        self.min_unix_nano.load(Ordering::Acquire) < end_unix_nano
            && self.max_unix_nano.load(Ordering::Acquire) >= start_unix_nano
    }

    pub(super) fn earliest(&self) -> Option<i64> {
        let min = self.min_unix_nano.load(Ordering::Acquire);
        (min != i64::MAX).then_some(min)
    }

    pub(super) fn latest(&self) -> Option<i64> {
        let max = self.max_unix_nano.load(Ordering::Acquire);
        (max != i64::MIN).then_some(max)
    }
}

impl Default for TimeBounds {
    fn default() -> Self {
        Self { min_unix_nano: AtomicI64::new(i64::MAX), max_unix_nano: AtomicI64::new(i64::MIN) }
    }
}

impl Slices {
    pub(super) fn snapshot(&self) -> Arc<Vec<Arc<Slice>>> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn push(&self, slice: Arc<Slice>) {
        self.change(|list| list.push(slice));
    }

    pub(super) fn remove(&self, path: &Path) {
        self.change(|list| list.retain(|slice| slice.path != path));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Slice>>)) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Vec::clone(&list);
        change(&mut next);
        *list = Arc::new(next);
    }
}

//! What has to go: for the cap before something new may come, and for its age.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::directory::{Directory, wal_bytes};
use super::slice::{Slice, Slices};

/// The tables of a new, empty slice and its shared memory.
const NEW_SLICE_BYTES: u64 = 160 * 1024;

/// Pages, indexes and log frames can take up to this many times the text that is written.
const WRITE_AMPLIFICATION: u64 = 4;

/// The slice that must go next so that `payload_bytes` fit under the cap; `None` when they fit,
/// or when nothing is left that may go.
///
/// Counts the newest slice's log twice: while it is copied back, its pages exist twice.
pub(super) fn next_to_delete(
    directory: &Directory,
    slices: &Slices,
    newest: &Slice,
    payload_bytes: u64,
    max_bytes: u64,
) -> io::Result<Option<PathBuf>> {
    let coming = payload_bytes.saturating_mul(WRITE_AMPLIFICATION) + NEW_SLICE_BYTES;
    loop {
        let needed = directory.size_bytes()? + wal_bytes(&newest.path) + coming;
        if needed <= max_bytes {
            return Ok(None);
        }
        if directory.delete_one_set_aside()? {
            continue;
        }
        let oldest = slices.snapshot().first().map(|slice| slice.path.clone());
        return Ok(oldest.filter(|path| *path != newest.path));
    }
}

/// The oldest slice, if nothing has been written to it for `max_age`; never the newest.
pub(super) fn next_to_expire(
    slices: &Slices,
    newest: &Slice,
    max_age: Duration,
    now: SystemTime,
) -> io::Result<Option<PathBuf>> {
    let oldest = slices.snapshot().first().map(|slice| slice.path.clone());
    let Some(path) = oldest.filter(|path| *path != newest.path) else { return Ok(None) };
    let written = fs::metadata(&path)?.modified()?;
    // A clock that was set back makes nothing old.
    let age = now.duration_since(written).unwrap_or_default();
    Ok((age > max_age).then_some(path))
}

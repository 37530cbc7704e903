//! One agent to a state directory: two would write over each other's checkpoints.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The file that is locked; it holds the process id of whoever holds the lock, for people.
const LOCK_FILE: &str = "agent.lock";

/// Holds a state directory until it is dropped, or its process ends in whatever way.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Why a state directory could not be taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another agent holds it; its process id, as far as it is known.
    Held(Option<u32>),
    /// It cannot be made or written.
    Io(io::Error),
}

impl StateLock {
    /// Makes `directory` if it is not there, readable by its owner only, and locks it.
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).map_err(LockError::Io)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(directory.join(LOCK_FILE)).map_err(LockError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held(holder(&mut file))),
            Err(error) => return Err(LockError::Io(error.into())),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_holds_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let held = StateLock::take(&state).unwrap();
        match StateLock::take(&state) {
            Err(LockError::Held(Some(pid))) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(held);
        StateLock::take(&state).unwrap();
    }
}

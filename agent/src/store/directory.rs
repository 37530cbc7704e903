//! The store's folder: the names of its files, who holds it, and what it takes on disk.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::StoreError;

/// What SQLite puts beside a slice's file.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// The ending of a file that was set aside.
const SET_ASIDE: &str = ".damaged";

/// The folder, held for this process alone.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Locked while it is open.
    _lock: File,
}

impl Directory {
    /// Makes the folder if need be and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let fault = |source| StoreError::Directory { path: path.to_owned(), source };
        // Lines may hold what only their owner should read.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("store.lock"))
            .map_err(fault)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.to_owned() }),
            Err(errno) => Err(fault(errno.into())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn slice_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("slice-{number:010}.db"))
    }

    /// The numbers of all slices, oldest first.
    pub(super) fn slice_numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self.names()?.iter().filter_map(|n| slice_number(n)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What all files of the folder take, in bytes.
    pub(super) fn size_bytes(&self) -> io::Result<u64> {
        let mut sum = 0;
        for entry in fs::read_dir(&self.path)? {
            match entry?.metadata() {
                Ok(metadata) => sum += metadata.len(),
                // SQLite removes its companions when it likes.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }

    /// Removes a slice's file and its companions.
    pub(super) fn delete(slice: &Path) -> io::Result<()> {
        remove_if_there(slice)?;
        COMPANIONS.iter().try_for_each(|ending| remove_if_there(&with_ending(slice, ending)))
    }

    /// Renames a slice that cannot be read, so that a person can look at it; it still counts
    /// against the cap, and is the first to go.
    pub(super) fn set_aside(slice: &Path) -> io::Result<PathBuf> {
        let aside = with_ending(slice, SET_ASIDE);
        fs::rename(slice, &aside)?;
        COMPANIONS.iter().try_for_each(|ending| remove_if_there(&with_ending(slice, ending)))?;
        Ok(aside)
    }

    /// Removes one file that was set aside; false when there is none.
    pub(super) fn delete_one_set_aside(&self) -> io::Result<bool> {
        match self.names()?.into_iter().filter(|name| name.ends_with(SET_ASIDE)).min() {
            Some(name) => remove_if_there(&self.path.join(name)).map(|()| true),
            None => Ok(false),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }
}

/// What a slice's write-ahead log takes, in bytes.
pub(super) fn wal_bytes(slice: &Path) -> u64 {
    file_bytes(&with_ending(slice, COMPANIONS[0]))
}

/// What a slice takes, in bytes, without its shared-memory file.
pub(super) fn slice_bytes(slice: &Path) -> u64 {
    file_bytes(slice) + wal_bytes(slice)
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn slice_number(name: &str) -> Option<u64> {
    name.strip_prefix("slice-")?.strip_suffix(".db")?.parse().ok()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

//! The agent's own log: it is no pod, so its lines are kept as they are, in two files at most.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::children::LineSink;
use super::cri::{Stream, Tag};

const MAX_BYTES: u64 = 5 * 1024 * 1024;

/// A file of lines; when it is full it becomes the one file `<path>.1`.
#[derive(Debug)]
pub(super) struct PlainLog {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    pending: Vec<u8>,
}

impl PlainLog {
    /// Opens `path` to append to it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { path, file, size_bytes, pending: Vec::new() })
    }
}

impl LineSink for PlainLog {
    fn line(&mut self, _: Stream, _: Tag, text: &[u8]) {
        self.pending.extend_from_slice(text);
        self.pending.push(b'\n');
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.size_bytes >= MAX_BYTES {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            fs::rename(&self.path, older)?;
            self.file = File::options().create(true).append(true).open(&self.path)?;
            self.size_bytes = 0;
        }
        let written = self.file.write_all(&self.pending);
        self.size_bytes += self.pending.len() as u64;
        self.pending.clear();
        written
    }
}

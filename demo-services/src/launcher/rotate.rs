//! A log file that is rotated as kubelet rotates a container's.
//!
//! At its size limit `0.log` is renamed to `0.log.YYYYMMDD-HHMMSS` and begun anew; the files that were
//! renamed before are compressed, each aside into `.tmp` and then renamed to `.gz`; the oldest go.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

/// When to rotate and what to keep.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Size at which a file is rotated; the last write may pass it.
    pub(super) max_bytes: u64,
    /// How many files there are at most, the current one among them.
    pub(super) max_files: usize,
}

/// kubelet's own defaults.
impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 10 * 1024 * 1024, max_files: 5 }
    }
}

/// The current file of a rotated log.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    limits: Limits,
    file: File,
    size_bytes: u64,
    /// The last write failed half-way, so the file does not end with a newline.
    torn: bool,
    /// Compresses what was rotated; beside the writer, since it takes longer than a writer should wait.
    packer: Option<JoinHandle<()>>,
}

impl RotatingFile {
    /// Opens `path` to append to it; its folder must exist.
    pub(super) fn open(path: PathBuf, limits: Limits) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { path, limits, file, size_bytes, torn: false, packer: None })
    }

    /// Appends whole lines, then rotates if the file is full. On an error some may be missing.
    pub(super) fn append(&mut self, lines: &[u8], now: Timestamp) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        if let Err(cause) = self.file.write_all(lines) {
            self.torn = true;
            return Err(cause);
        }
        self.size_bytes += lines.len() as u64;
        if self.size_bytes >= self.limits.max_bytes {
            self.rotate(now)?;
        }
        Ok(())
    }

    /// Does nothing while the last rotation is still being packed or its name would be taken again: the
    /// file then grows a little past its limit, as kubelet's do between two of its checks.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        if self.packer.as_ref().is_some_and(|packer| !packer.is_finished()) {
            return Ok(());
        }
        let rotated = with_suffix(&self.path, &now.strftime(".%Y%m%d-%H%M%S").to_string());
        if rotated.try_exists()? || with_suffix(&rotated, GZIPPED).try_exists()? {
            return Ok(());
        }
        fs::rename(&self.path, &rotated)?;
        self.file = File::options().create(true).append(true).open(&self.path)?;
        self.size_bytes = 0;

        let (path, max_rotated) = (self.path.clone(), self.limits.max_files - 1);
        self.packer = std::thread::Builder::new()
            .name("log-packer".into())
            // A file that could not be packed stays as it is, and the next rotation tries again.
            .spawn(move || drop(pack(&path, max_rotated)))
            .ok();
        Ok(())
    }
}

impl Drop for RotatingFile {
    fn drop(&mut self) {
        if let Some(packer) = self.packer.take() {
            // Its panic was printed when it happened, and there is nothing left to save here.
            let _ = packer.join();
        }
    }
}

const GZIPPED: &str = ".gz";
const UNFINISHED: &str = ".tmp";

/// Removes all but the newest `max_rotated` of the files rotated from `path`, and compresses all but
/// the newest.
fn pack(path: &Path, max_rotated: usize) -> io::Result<()> {
    let mut rotated = rotated_files(path)?;
    for unfinished in rotated.extract_if(.., |file| has_suffix(file, UNFINISHED)) {
        fs::remove_file(unfinished)?;
    }
    // Their names sort by time, and the newest is last.
    rotated.sort();
    let excess = rotated.len().saturating_sub(max_rotated);
    for file in rotated.drain(..excess) {
        fs::remove_file(file)?;
    }
    rotated.pop();
    for file in rotated.iter().filter(|file| !has_suffix(file, GZIPPED)) {
        compress(file)?;
    }
    Ok(())
}

fn rotated_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes()) {
            files.push(folder.join(name));
        }
    }
    Ok(files)
}

fn compress(file: &Path) -> io::Result<()> {
    let unfinished = with_suffix(file, UNFINISHED);
    let mut encoder = GzEncoder::new(File::create(&unfinished)?, Compression::default());
    io::copy(&mut File::open(file)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, with_suffix(file, GZIPPED))?;
    fs::remove_file(file)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(suffix.as_bytes())
}

#[cfg(test)]
mod tests;

//! The `file` exporter: OTLP's messages in a file, as the Collector writes them.
//!
//! In JSON each batch is a line; in protobuf its length stands before it, in four bytes, the most significant first. A batch is
//! answered for when the system has all of it. When the disk is full, what was written of it is taken back, and it is
//! tried again: so a file never holds half a batch that another follows.

mod rotate;

use std::fs::{File as OsFile, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use self::rotate::Rotation;
use super::otlp::message::Request;
use super::{Answer, ExportError, Exporter, Exporting};
use crate::config::{Encoding, File as Settings};
use crate::reload::Unusable;

/// The exporter.
#[derive(Debug)]
pub struct File {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    output: Mutex<Output>,
}

/// The file as it is now.
#[derive(Debug)]
struct Output {
    file: OsFile,
    /// Where the last whole batch ends.
    size_bytes: u64,
}

impl File {
    /// Opens the file; without `append` and `rotation` it begins empty.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(settings: &Settings) -> Result<Self, Unusable> {
        let keeps = settings.append || settings.rotation.is_some();
        let output = Output::open(&settings.path, keeps, settings.encoding).map_err(|error| {
            Unusable::new(format!("{} of {}", settings.path.display(), settings.from), error)
        })?;
        let output = Mutex::new(output);
        Ok(Self { shared: Arc::new(Shared { settings: settings.clone(), output }) })
    }
}

impl Exporter for File {
    fn export(&self, batch: Arc<crate::record::Batch>) -> Exporting<'_> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || {
                let Shared { settings, output } = &*shared;
                let message = framed(&Request::of(&batch), settings.encoding)?;
                let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
                output.write(&message, settings)
            });
            match written.await {
                Ok(Ok(())) => Ok(Answer::default()),
                Ok(Err(error)) => {
                    let path = self.shared.settings.path.display();
                    Err(ExportError::Unreachable(format!("cannot write to {path}: {error}")))
                }
                Err(_) => {
                    Err(ExportError::Refused("the batch could not be written down".to_owned()))
                }
            }
        })
    }
}

/// The bytes of a batch in the file.
fn framed(request: &Request, encoding: Encoding) -> io::Result<Vec<u8>> {
    let mut message = request.encode(encoding);
    match encoding {
        Encoding::Json => {
            message.push(b'\n');
            Ok(message)
        }
        Encoding::Proto => {
            let length = u32::try_from(message.len()).map_err(io::Error::other)?;
            Ok([length.to_be_bytes().as_slice(), &message].concat())
        }
    }
}

impl Output {
    fn open(path: &Path, keeps: bool, encoding: Encoding) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(!keeps).mode(0o600);
        let mut file = options.open(path)?;
        let size_bytes = file.seek(SeekFrom::End(0))?;
        let mut output = Self { file, size_bytes };
        output.end_line(encoding)?;
        Ok(output)
    }

    /// Whoever wrote last may have been killed within a line; the next one begins anew all the same.
    fn end_line(&mut self, encoding: Encoding) -> io::Result<()> {
        if encoding != Encoding::Json || self.size_bytes == 0 {
            return Ok(());
        }
        let mut last = [0];
        self.file.seek(SeekFrom::End(-1))?;
        self.file.read_exact(&mut last)?;
        if last != *b"\n" {
            self.file.write_all(b"\n")?;
            self.size_bytes += 1;
        }
        Ok(())
    }

    fn write(&mut self, message: &[u8], settings: &Settings) -> io::Result<()> {
        let size_bytes = self.size_bytes + message.len() as u64;
        if let Some(rotation) = &settings.rotation
            && self.size_bytes > 0
            && size_bytes > rotation.max_bytes
        {
            Rotation { path: &settings.path, settings: rotation }.rotate(Timestamp::now())?;
            *self = Self::open(&settings.path, true, settings.encoding)?;
        }
        put(&mut self.file, &mut self.size_bytes, message)
    }
}

/// What is written to, and can be made shorter.
trait Disk: io::Write {
    /// Takes back everything from `size_bytes` on, and goes on there.
    fn cut(&mut self, size_bytes: u64) -> io::Result<()>;
}

impl Disk for OsFile {
    fn cut(&mut self, size_bytes: u64) -> io::Result<()> {
        // To make a file shorter needs no room.
        self.set_len(size_bytes)?;
        self.seek(SeekFrom::Start(size_bytes)).map(drop)
    }
}

/// Adds all of `message`, or nothing.
fn put(disk: &mut impl Disk, size_bytes: &mut u64, message: &[u8]) -> io::Result<()> {
    let written = disk.write_all(message);
    match &written {
        Ok(()) => *size_bytes += message.len() as u64,
        Err(_) => disk.cut(*size_bytes)?,
    }
    written
}

#[cfg(test)]
mod tests;

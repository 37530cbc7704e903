//! A log file that starts anew when it is full: `app.log`, `app.log.1` … `app.log.5`; or when somebody else took
//! it away.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::Output;

pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    /// Tells the file in hand from another of its name; `None` for what is no regular file.
    identity: Option<(u64, u64)>,
    /// The file in hand has no name any more, and no other can be made: what is written to it nobody can read.
    is_lost: bool,
    bytes: u64,
    max_bytes: u64,
    kept: usize,
}

impl RotatedFile {
    pub(super) fn open(path: PathBuf, max_bytes: usize, kept: usize) -> io::Result<Self> {
        // A named pipe that nobody reads would have us wait in here; so it is an error.
        let no_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file =
            OpenOptions::new().create(true).append(true).custom_flags(no_waiting).open(&path)?;
        // But to write may wait, on the writer's thread.
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        let metadata = file.metadata()?;
        // A device or a named pipe has no length that grows, and to rename `/dev/null` would harm everybody.
        let identity = metadata.is_file().then(|| identity(&metadata));
        let max_bytes = if identity.is_some() { max_bytes as u64 } else { u64::MAX };
        let bytes = metadata.len();
        Ok(Self { path, file, identity, is_lost: false, bytes, max_bytes, kept })
    }

    /// The same name again, perhaps of another file.
    fn reopen(&mut self) -> io::Result<()> {
        let path = self.path.clone();
        *self = Self { max_bytes: self.max_bytes, ..Self::open(path, 0, self.kept)? };
        Ok(())
    }

    /// Whether the file in hand is not what its name stands for: it was deleted, or renamed by another program.
    fn is_elsewhere(&self) -> bool {
        let Some(in_hand) = self.identity else { return false };
        match fs::metadata(&self.path) {
            Ok(metadata) => identity(&metadata) != in_hand,
            // A folder that cannot be looked into says nothing of the file.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    fn rotated(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Up to the first number that is free; if none is, the oldest is overwritten.
        let is_taken = |number: &usize| self.rotated(*number).exists();
        let last = (1..self.kept).take_while(is_taken).last().unwrap_or(0);
        for number in (1..=last).rev() {
            let _ = fs::rename(self.rotated(number), self.rotated(number + 1));
        }
        match fs::rename(&self.path, self.rotated(1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.reopen(),
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Output for RotatedFile {
    fn begin(&mut self, bytes: usize) {
        if self.is_elsewhere() {
            self.is_lost = self.reopen().is_err();
        }
        if self.bytes > 0
            && self.bytes.saturating_add(bytes as u64) > self.max_bytes
            && self.rotate().is_err()
        {
            // The file in hand still takes lines. Try again after as much as another full file.
            self.bytes = 0;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_lost {
            return Err(io::ErrorKind::NotFound.into());
        }
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.bytes += written as u64;
                    return Ok(written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut output = RotatedFile::open(path.clone(), 10, 5).unwrap();
        for number in 0..9 {
            let line = format!("line {number}\n");
            output.begin(line.len());
            assert_eq!(output.write(line.as_bytes()).unwrap(), line.len());
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("app.log"), "line 8\n");
        assert_eq!(read("app.log.1"), "line 7\n");
        assert_eq!(read("app.log.5"), "line 3\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
    }

    #[test]
    fn what_is_already_in_the_file_stays_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        fs::write(&path, "before\n").unwrap();
        let mut output = RotatedFile::open(path.clone(), 10, 5).unwrap();
        output.begin(6);
        output.write(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("app.log.1")).unwrap(), "before\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "after\n");
    }

    #[test]
    fn what_is_no_regular_file_is_never_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        // Open for reading and writing, so that there is a reader.
        let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut output = RotatedFile::open(path.clone(), 10, 5).unwrap();
        for _ in 0..3 {
            output.begin(8);
            output.write(b"a line.\n").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_named_pipe_that_nobody_reads_is_an_error_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).unwrap();
        assert!(RotatedFile::open(path, 10, 5).is_err());
    }

    #[test]
    fn a_folder_that_does_not_let_us_rename_costs_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut output = RotatedFile::open(path.clone(), 10, 5).unwrap();
        // A folder in the way of the rename, which no rename replaces.
        fs::create_dir_all(folder.path().join("app.log.1/x")).unwrap();
        fs::create_dir_all(folder.path().join("app.log.2/x")).unwrap();
        for _ in 0..3 {
            output.begin(8);
            output.write(b"a line.\n").unwrap();
        }
        let lines = fs::read_to_string(path).unwrap();
        assert!(lines.ends_with("a line.\n"), "{lines:?}");
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut output = RotatedFile::open(path.clone(), 1_000, 5).unwrap();
        let mut write = |line: &[u8]| {
            output.begin(line.len());
            output.write(line).map(drop)
        };
        write(b"first\n").unwrap();
        fs::remove_file(&path).unwrap();
        write(b"after the deletion\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after the deletion\n");
        fs::rename(&path, folder.path().join("theirs")).unwrap();
        fs::write(&path, "their header\n").unwrap();
        write(b"after the rename\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "their header\nafter the rename\n");
        // Where no file can be made, a line is refused and counted, not written where nobody finds it.
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(write(b"lost\n").is_err());
        fs::create_dir(folder.path()).unwrap();
        write(b"found\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "found\n");
    }

    #[test]
    fn however_many_files_may_be_kept_no_more_are_looked_for_than_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut output = RotatedFile::open(path, 10, usize::MAX).unwrap();
        for _ in 0..4 {
            output.begin(8);
            output.write(b"a line.\n").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}

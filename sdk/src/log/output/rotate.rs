//! A log file that starts anew when it is full: `app.log`, `app.log.1` … `app.log.5`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::Output;

pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    max_bytes: u64,
    kept: usize,
}

impl RotatedFile {
    pub(super) fn open(path: PathBuf, max_bytes: usize, kept: usize) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let metadata = file.metadata()?;
        // A device or a named pipe has no length that grows, and to rename `/dev/null` would harm everybody.
        let max_bytes = if metadata.is_file() { max_bytes as u64 } else { u64::MAX };
        Ok(Self { path, file, bytes: metadata.len(), max_bytes, kept })
    }

    fn rotated(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The oldest is overwritten; that one of the others is missing is no fault.
        for number in (1..self.kept).rev() {
            let _ = fs::rename(self.rotated(number), self.rotated(number + 1));
        }
        fs::rename(&self.path, self.rotated(1))?;
        let path = self.path.clone();
        *self = Self { max_bytes: self.max_bytes, ..Self::open(path, 0, self.kept)? };
        Ok(())
    }
}

impl Output for RotatedFile {
    fn begin(&mut self, bytes: usize) {
        if self.bytes > 0
            && self.bytes.saturating_add(bytes as u64) > self.max_bytes
            && self.rotate().is_err()
        {
            // The file in hand still takes lines. Try again after as much as another full file.
            self.bytes = 0;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
        // Open for reading and writing, so that the other open does not wait for a reader.
        let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let mut output = RotatedFile::open(path.clone(), 10, 5).unwrap();
        for _ in 0..3 {
            output.begin(8);
            output.write(b"a line.\n").unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
}

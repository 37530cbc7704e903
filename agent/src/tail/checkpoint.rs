//! How far each log has been delivered, kept over restarts: one versioned json file, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::discover::LogName;
use super::head::{FileId, MAX_HEAD_BYTES};
use super::ledger::Position;

const VERSION: u32 = 1;
const FILE_NAME: &str = "tail.json";
/// A damaged file must not fill the memory; a node has some hundred logs of some hundred bytes each.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The file, and how to replace it.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
}

/// The position of every log.
pub(super) type Positions = BTreeMap<LogName, Position>;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    logs: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Relative to the folder of pods, which may be mounted elsewhere the next time.
    log: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileEntry>,
    offset: u64,
    skip: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct FileEntry {
    inode: u64,
    head_len: usize,
    /// Hexadecimal: json's numbers are no safe place for 64 bits.
    head_hash: String,
}

impl Checkpoint {
    /// The checkpoint in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn in_folder(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { path: dir.join(FILE_NAME) })
    }

    /// What was written last. A file that cannot be understood is set aside: to read every log again
    /// is better than to stand still.
    ///
    /// # Errors
    /// When the file is there and cannot be read or set aside.
    pub(super) fn load(&self) -> io::Result<Positions> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Positions::new()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
        match parse(&bytes) {
            Ok(positions) => Ok(positions),
            Err(fault) => {
                let aside = self.path.with_extension("json.damaged");
                fs::rename(&self.path, &aside)?;
                warn!(
                    file = %self.path.display(), aside = %aside.display(), %fault,
                    "the checkpoint cannot be understood; it was set aside and all logs are read from \
                     their beginning",
                );
                Ok(Positions::new())
            }
        }
    }

    /// Replaces what was written last; after a power loss there is either the old or the new.
    ///
    /// # Errors
    /// When the file cannot be written; the old one is still there then.
    pub(super) fn store<'a>(
        &self,
        positions: impl Iterator<Item = (&'a LogName, &'a Position)>,
    ) -> io::Result<()> {
        let document = Document { version: VERSION, logs: positions.map(Entry::of).collect() };
        let aside = self.path.with_extension("json.new");
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec(&document)?)?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        match self.path.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Entry {
    fn of((log, position): (&LogName, &Position)) -> Self {
        Self {
            log: log.relative_path(),
            finished: position.finished.clone(),
            file: position.file.as_ref().map(|file| FileEntry {
                inode: file.inode,
                head_len: file.head_len,
                head_hash: format!("{:016x}", file.head_hash),
            }),
            offset: position.offset,
            skip: position.skip,
        }
    }

    fn into_position(self) -> Option<(LogName, Position)> {
        let log = LogName::from_relative_path(&self.log)?;
        let file = match self.file {
            None => None,
            Some(file) if file.head_len > MAX_HEAD_BYTES => return None,
            Some(FileEntry { inode, head_len, head_hash }) => {
                let head_hash = u64::from_str_radix(&head_hash, 16).ok()?;
                Some(Arc::new(FileId { inode, head_len, head_hash }))
            }
        };
        let Self { finished, offset, skip, .. } = self;
        Some((log, Position { finished, file, offset, skip }))
    }
}

fn parse(bytes: &[u8]) -> Result<Positions, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("version {} is not {VERSION}", document.version));
    }
    let positions: Option<_> = document.logs.into_iter().map(Entry::into_position).collect();
    positions.ok_or_else(|| "an entry is out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the first version; it must be readable by every later one.
    const FIRST: &str = include_str!("../../../tests/fixtures/checkpoints/v1.json");

    fn first() -> Positions {
        let log = |restart| LogName {
            container: "default_api_0a1b/api-node".to_owned(),
            run: Some(restart),
        };
        let file = FileId { inode: 42, head_len: 1024, head_hash: 0xdead_beef_0000_0001 };
        let finished = Some("20261124-140000".to_owned());
        let split = Position { finished, file: Some(Arc::new(file)), offset: 4096, skip: 3 };
        Positions::from([(log(0), split), (log(1), Position::default())])
    }

    #[test]
    fn the_first_versions_checkpoint_is_understood() {
        assert_eq!(parse(FIRST.as_bytes()).unwrap(), first());
    }

    #[test]
    fn what_is_stored_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::in_folder(&dir.path().join("new")).unwrap();
        assert_eq!(checkpoint.load().unwrap(), Positions::new());
        checkpoint.store(first().iter()).unwrap();
        assert_eq!(checkpoint.load().unwrap(), first());
    }

    #[test]
    fn a_damaged_checkpoint_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::in_folder(dir.path()).unwrap();
        for damaged in ["", "{\"version\":1,\"logs\":[{", "{\"version\":2,\"logs\":[]}"] {
            fs::write(dir.path().join(FILE_NAME), damaged).unwrap();
            assert_eq!(checkpoint.load().unwrap(), Positions::new());
            let aside = fs::read_to_string(dir.path().join("tail.json.damaged")).unwrap();
            assert_eq!(aside, damaged);
        }
    }
}

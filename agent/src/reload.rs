//! Files whose content is needed again and again, and may be another one tomorrow: certificates, keys, tokens.
//!
//! They are looked at when they are needed, not by a thread of their own. What cannot be used is told, and what was
//! read before stays in force: half a renewal must not end what works.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Every CA that there is takes a quarter of it.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What is made of files, and made anew when they change.
pub struct Reloaded<T> {
    files: Vec<PathBuf>,
    load: Box<dyn Fn() -> Result<T, Unusable> + Send + Sync>,
    interval: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    /// What the files looked like when they were read; `None` when they could not be used.
    stamps: Option<Vec<Stamp>>,
    looked_at: Instant,
    complaint: Option<String>,
}

/// What changes when a file is another one, or has another content.
#[derive(PartialEq, Eq)]
struct Stamp(Option<(u64, u64, u64, i64, i64, i64)>);

/// Something that a setting names, and that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What it is, and which setting names it.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl<T> Reloaded<T> {
    /// Makes the first one. The files are looked at once in `interval`, and `load` is called when one has changed.
    ///
    /// # Errors
    /// What `load` says.
    pub fn new(
        files: Vec<PathBuf>,
        interval: Duration,
        load: impl Fn() -> Result<T, Unusable> + Send + Sync + 'static,
    ) -> Result<Self, Unusable> {
        // Before they are read: a change between the two is seen the next time.
        let stamps = Some(stamps(&files));
        let value = Arc::new(load()?);
        let state = State { value, stamps, looked_at: Instant::now(), complaint: None };
        Ok(Self { files, load: Box::new(load), interval, state: Mutex::new(state) })
    }

    /// What the files say now, or said when they could last be used.
    pub fn get(&self) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !self.files.is_empty() && now.duration_since(state.looked_at) >= self.interval {
            state.looked_at = now;
            self.look(&mut state);
        }
        Arc::clone(&state.value)
    }

    fn look(&self, state: &mut State<T>) {
        let stamps = stamps(&self.files);
        if state.stamps.as_ref() == Some(&stamps) {
            return;
        }
        match (self.load)() {
            Ok(value) => {
                let files = self.files.iter().map(|file| file.display().to_string());
                tracing::info!(files = files.collect::<Vec<_>>().join(", "), "read anew");
                (state.value, state.stamps, state.complaint) =
                    (Arc::new(value), Some(stamps), None);
            }
            Err(unusable) => {
                state.stamps = None;
                let complaint = unusable.to_string();
                if state.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(
                        "{complaint}; what was read before stays in force until it can be"
                    );
                    state.complaint = Some(complaint);
                }
            }
        }
    }
}

/// Reads a small file.
///
/// # Errors
/// When it cannot be read, is no regular file, or is longer than anything that belongs there.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: to open a named pipe is to wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &Metadata| {
        (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec(), file.ctime_nsec())
    };
    // Through links, by which Kubernetes turns a mounted secret into the next.
    files.iter().map(|file| Stamp(fs::metadata(file).ok().as_ref().map(stamp))).collect()
}

impl Unusable {
    /// `what` cannot be used, because of `why`.
    pub fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why } = self;
        write!(f, "{what} cannot be used: {why}")
    }
}

impl std::error::Error for Unusable {}

// The value may be a secret.
impl<T> fmt::Debug for Reloaded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloaded(path: &Path) -> Reloaded<String> {
        let file = path.to_owned();
        let load = move || {
            let bytes = read(&file).map_err(|why| Unusable::new(file.display(), why))?;
            String::from_utf8(bytes).map_err(|why| Unusable::new(file.display(), why))
        };
        Reloaded::new(vec![path.to_owned()], Duration::from_secs(1), load).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_seen_an_interval_later_and_what_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("token"), folder.path().join("next"));
        let write = |content: &[u8]| {
            fs::write(&next, content).unwrap();
            fs::rename(&next, &path).unwrap();
        };
        write(b"first");
        let token = reloaded(&path);
        write(b"second");
        assert_eq!(*token.get(), "first", "it was looked at a moment ago");
        let interval = || tokio::time::advance(Duration::from_secs(1));
        interval().await;
        assert_eq!(*token.get(), "second");
        write(b"\xff");
        interval().await;
        assert_eq!(*token.get(), "second");
        fs::remove_file(&path).unwrap();
        interval().await;
        assert_eq!(*token.get(), "second");
        write(b"third");
        interval().await;
        assert_eq!(*token.get(), "third");
    }

    #[test]
    fn a_file_that_never_ends_or_never_begins_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, long) = (folder.path().join("pipe"), folder.path().join("long"));
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let why = |path: &Path| read(path).unwrap_err().to_string();
        for odd in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            assert!(why(odd).contains("no regular file"), "{}", why(odd));
        }
        // Sparse: it takes no room.
        File::create(&long).unwrap().set_len(1 << 40).unwrap();
        assert!(why(&long).contains("more than 1048576 bytes"), "{}", why(&long));
    }
}

//! Which log files there are: `<pods>/<namespace>_<pod>_<uid>/<container>/<n>.log` and what the kubelet
//! makes of it, `<n>.log.<YYYYMMDD-HHMMSS>` and the same with `.gz`.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::matching;
use crate::config::{Compression, Files};

/// A file's or folder's time tells of every change only when it is older than its clock's grain.
pub(super) const SETTLED: Duration = Duration::from_secs(2);
/// How often a folder that changes is listed in a row.
pub(super) const MAX_LISTINGS: usize = 10;
/// `20261124-140000`.
const STAMP_BYTES: usize = 15;

/// When a file was rotated, as its name says; later files sort later.
pub(super) type Stamp = String;

/// A log: of a container's run, the path of its `<n>.log` below the folder of pods; of a pattern, the file's own path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LogName {
    /// `<namespace>_<pod>_<uid>/<container>`, or the file's own path.
    pub(super) container: String,
    /// How often the container had been restarted; `None` of a file that matched a pattern.
    pub(super) run: Option<u64>,
}

impl LogName {
    /// The path of the file that is written to, relative to the folder of pods.
    pub(super) fn relative_path(&self) -> String {
        match self.run {
            Some(run) => format!("{}/{run}.log", self.container),
            None => self.container.clone(),
        }
    }

    /// From such a path.
    pub(super) fn from_relative_path(path: &str) -> Option<Self> {
        if path.starts_with('/') {
            return Some(Self { container: path.to_owned(), run: None });
        }
        let (container, file) = path.rsplit_once('/')?;
        let run = file.strip_suffix(".log")?.parse().ok()?;
        Some(Self { container: container.to_owned(), run: Some(run) })
    }
}

/// A file of a log, as it was when its folder was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    /// `None` for the file that is written to.
    pub(super) stamp: Option<Stamp>,
    pub(super) gzipped: bool,
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// The files of every log, oldest first.
pub(super) type Listing = BTreeMap<LogName, Vec<Candidate>>;

/// Finds files, and lists again only what has changed: folders are many and seldom change.
#[derive(Debug)]
pub(super) struct Discovery {
    files: Files,
    compression: Compression,
    known: HashMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    modified: SystemTime,
    listed: SystemTime,
    folder: Folder,
}

#[derive(Debug, Clone)]
enum Folder {
    Folders(Vec<PathBuf>),
    Logs(Vec<(u64, Candidate)>),
}

impl Discovery {
    pub(super) fn new(files: Files, compression: Compression) -> Self {
        Self { files, compression, known: HashMap::new() }
    }

    /// What there is now.
    ///
    /// # Errors
    /// When the folder of pods cannot be listed, or changes too fast; what lies below and cannot be listed is left out.
    pub(super) fn list(&mut self) -> io::Result<Listing> {
        let pods_dir = match &self.files {
            Files::Pods(dir) => dir.clone(),
            Files::Matching(patterns) => {
                let listing = matching::list(patterns, self.compression);
                return listing.ok_or_else(too_fast);
            }
        };
        let mut seen = HashMap::new();
        let mut listing = Listing::new();
        for pod in self.folders(&pods_dir, &mut seen)? {
            for container in self.folders(&pod, &mut seen).unwrap_or_default() {
                let Some(name) = container.strip_prefix(&pods_dir).ok().and_then(Path::to_str)
                else {
                    continue;
                };
                for (restart, candidate) in self.logs(&container, &mut seen).unwrap_or_default() {
                    let log = LogName { container: name.to_owned(), run: Some(restart) };
                    listing.entry(log).or_default().push(candidate);
                }
            }
        }
        self.known = seen;
        for candidates in listing.values_mut() {
            sort_and_dedup(candidates);
        }
        Ok(listing)
    }

    fn folders(
        &mut self,
        dir: &Path,
        seen: &mut HashMap<PathBuf, Known>,
    ) -> io::Result<Vec<PathBuf>> {
        match self.folder(dir, seen, |dir| Ok(Folder::Folders(list_folders(dir)?)))? {
            Folder::Folders(folders) => Ok(folders),
            Folder::Logs(_) => Ok(Vec::new()),
        }
    }

    fn logs(
        &mut self,
        dir: &Path,
        seen: &mut HashMap<PathBuf, Known>,
    ) -> io::Result<Vec<(u64, Candidate)>> {
        match self.folder(dir, seen, |dir| Ok(Folder::Logs(list_logs(dir)?)))? {
            Folder::Logs(logs) => Ok(logs),
            Folder::Folders(_) => Ok(Vec::new()),
        }
    }

    fn folder(
        &mut self,
        dir: &Path,
        seen: &mut HashMap<PathBuf, Known>,
        list: impl FnOnce(&Path) -> io::Result<Folder>,
    ) -> io::Result<Folder> {
        // Its time is taken before it is listed: a change in between is seen the next time.
        let modified = fs::metadata(dir)?.modified()?;
        let known = self.known.remove(dir).filter(|known| {
            let settled = known.listed.duration_since(known.modified);
            known.modified == modified && settled.is_ok_and(|age| age > SETTLED)
        });
        let known = match known {
            Some(known) => known,
            None => {
                let listed = SystemTime::now();
                Known { modified, listed, folder: list(dir)? }
            }
        };
        let folder = known.folder.clone();
        seen.insert(dir.to_owned(), known);
        Ok(folder)
    }
}

fn list_folders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.path());
    // Follows symbolic links.
    Ok(paths.filter(|path| path.is_dir()).collect())
}

/// Lists until two listings agree: one during which a file is renamed may lack it, and its successor would
/// then be read in its place.
fn list_logs(dir: &Path) -> io::Result<Vec<(u64, Candidate)>> {
    let mut listed = list_logs_once(dir)?;
    for _ in 0..MAX_LISTINGS {
        let again = list_logs_once(dir)?;
        if again == listed {
            return Ok(listed);
        }
        listed = again;
    }
    Err(too_fast())
}

fn too_fast() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "the folder changes faster than it is listed")
}

fn list_logs_once(dir: &Path) -> io::Result<Vec<(u64, Candidate)>> {
    let logs = fs::read_dir(dir)?.filter_map(Result::ok).filter_map(|entry| {
        let (restart, stamp, gzipped) = parse_name(entry.file_name().to_str()?)?;
        let path = entry.path();
        let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        Some((restart, Candidate { path, stamp, gzipped, device, inode }))
    });
    let mut logs: Vec<_> = logs.collect();
    logs.sort_by(|(_, a), (_, b)| a.path.cmp(&b.path));
    Ok(logs)
}

fn parse_name(name: &str) -> Option<(u64, Option<Stamp>, bool)> {
    let (restart, rest) = name.split_once(".log")?;
    let restart = restart.parse().ok()?;
    if rest.is_empty() {
        return Some((restart, None, false));
    }
    let stamp = rest.strip_prefix('.')?;
    let (stamp, gzipped) = match stamp.strip_suffix(".gz") {
        Some(stamp) => (stamp, true),
        None => (stamp, false),
    };
    is_stamp(stamp).then(|| (restart, Some(stamp.to_owned()), gzipped))
}

/// Whether this is how the kubelet marks a rotated file.
pub(super) fn is_stamp(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() == STAMP_BYTES
        && text
            .split_once('-')
            .is_some_and(|(day, time)| day.len() == 8 && digits(day) && digits(time))
}

/// Oldest first; while a file is being gzipped both are there, and the plain one is the whole one.
fn sort_and_dedup(candidates: &mut Vec<Candidate>) {
    candidates.sort_by(|a, b| {
        let key = |c: &Candidate| (c.stamp.is_none(), c.stamp.clone(), c.gzipped);
        key(a).cmp(&key(b))
    });
    candidates.dedup_by(|later, earlier| later.stamp == earlier.stamp);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelets_names_are_known_and_others_are_not() {
        let stamp = || Some("20261124-140000".to_owned());
        assert_eq!(parse_name("0.log"), Some((0, None, false)));
        assert_eq!(parse_name("12.log.20261124-140000"), Some((12, stamp(), false)));
        assert_eq!(parse_name("12.log.20261124-140000.gz"), Some((12, stamp(), true)));
        for name in [
            "0.log.20261124-140000.tmp",
            "x.log",
            "0.log.1",
            "0.log.20261124-140000.gz.tmp",
            "0.logs",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn files_of_a_log_are_listed_oldest_first_through_symbolic_links() {
        let pods = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let dir = pods.path().join("ns_a.pod_uid/app");
        fs::create_dir_all(&dir).unwrap();
        fs::write(elsewhere.path().join("real"), "x").unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("real"), dir.join("0.log")).unwrap();
        for name in ["0.log.20261124-150000", "0.log.20261124-140000", "0.log.20261124-140000.gz"] {
            fs::write(dir.join(name), name).unwrap();
        }
        let listing = Discovery::new(Files::Pods(pods.path().to_owned()), Compression::Rotated)
            .list()
            .unwrap();
        let log = LogName { container: "ns_a.pod_uid/app".to_owned(), run: Some(0) };
        let found: Vec<_> = listing[&log].iter().map(|c| (c.stamp.as_deref(), c.gzipped)).collect();
        let expected =
            [(Some("20261124-140000"), false), (Some("20261124-150000"), false), (None, false)];
        assert_eq!(found, expected);
        assert_eq!(LogName::from_relative_path(&log.relative_path()), Some(log));
    }
}

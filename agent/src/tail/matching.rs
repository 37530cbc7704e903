//! Which log files match patterns, and what rotation has made of them: `<file>.1` and higher, or `<file>.<YYYYMMDD-HHMMSS>`, and the same
//! with `.gz`.
//!
//! Numbers move up with each rotation, so they are no names. What stays is when a rotated file was last written to: that is its stamp.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::discover::{Candidate, Listing, LogName, MAX_LISTINGS, is_stamp};
use crate::config::{Compression, PathPattern};

/// A number of a rotation has no more digits.
const MAX_NUMBER_DIGITS: usize = 5;

/// How a rotated file is named behind the name of its log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rotation {
    /// The higher, the older.
    Number(u32),
    /// The higher, the newer.
    Stamp(String),
}

/// How it was rotated, whether it is gzipped, and where it is.
type RotatedFile = (Rotation, bool, PathBuf);
/// By the name of their log.
type RotatedFiles = BTreeMap<String, Vec<RotatedFile>>;

/// Lists until two listings agree: one during which a file is renamed may lack it, and its successor would then be read in its
/// place. `None` when the files change faster than they are listed.
pub(super) fn list(patterns: &[PathPattern], compression: Compression) -> Option<Listing> {
    let mut listed = list_once(patterns, compression);
    for _ in 0..MAX_LISTINGS {
        let again = list_once(patterns, compression);
        if again == listed {
            return Some(listed);
        }
        listed = again;
    }
    None
}

fn list_once(patterns: &[PathPattern], compression: Compression) -> Listing {
    let paths: BTreeSet<PathBuf> =
        patterns.iter().flat_map(|pattern| pattern.files(base_name)).collect();
    let mut folders: HashMap<&Path, RotatedFiles> = HashMap::new();
    let mut listing = Listing::new();
    for path in &paths {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
        else {
            continue;
        };
        // The rotated file of another log is that log's.
        if rotated(name).is_some_and(|(base, ..)| paths.contains(&folder.join(base))) {
            continue;
        }
        let Some(log) = path.to_str() else { continue };
        let gzipped = match compression {
            Compression::Rotated => false,
            Compression::ByName => name.ends_with(".gz"),
            Compression::All => true,
        };
        let siblings = folders.entry(folder).or_insert_with(|| rotated_files(folder));
        let mut candidates = siblings.get(name).map_or_else(Vec::new, |files| of_one_log(files));
        // In the middle of a rotation there is none.
        candidates.extend(candidate(path, None, gzipped));
        if candidates.is_empty() {
            continue;
        }
        listing.insert(LogName { container: log.to_owned(), run: None }, candidates);
    }
    listing
}

fn base_name(name: &str) -> Option<&str> {
    rotated(name).map(|(base, ..)| base)
}

/// The log of which a file with this name would be a rotated one.
pub(super) fn base_of(log: &LogName) -> Option<LogName> {
    let (folder, name) = log.container.rsplit_once('/')?;
    let (base, ..) = rotated(name)?;
    Some(LogName { container: format!("{folder}/{base}"), run: None })
}

/// Of a rotated file's name: that of its log, how it was rotated, and whether it is gzipped.
fn rotated(name: &str) -> Option<(&str, Rotation, bool)> {
    let (plain, gzipped) = match name.strip_suffix(".gz") {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let (base, suffix) = plain.rsplit_once('.')?;
    let is_number = suffix.len() <= MAX_NUMBER_DIGITS && suffix.bytes().all(|b| b.is_ascii_digit());
    let rotation = if is_number {
        Rotation::Number(suffix.parse().ok()?)
    } else if is_stamp(suffix) {
        Rotation::Stamp(suffix.to_owned())
    } else {
        return None;
    };
    (!base.is_empty()).then_some((base, rotation, gzipped))
}

/// A folder's rotated files, by the name of their log.
fn rotated_files(folder: &Path) -> RotatedFiles {
    let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        if let Some((base, rotation, gzipped)) = name.to_str().and_then(rotated) {
            files.entry(base.to_owned()).or_default().push((rotation, gzipped, entry.path()));
        }
    }
    files
}

/// Oldest first; while a file is being gzipped both are there, and the plain one is the whole one.
fn of_one_log(files: &[RotatedFile]) -> Vec<Candidate> {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|(a, a_gzipped, _), (b, b_gzipped, _)| {
        let order = match (a, b) {
            (Rotation::Number(a), Rotation::Number(b)) => b.cmp(a),
            (a, b) => a.cmp(b),
        };
        order.then(a_gzipped.cmp(b_gzipped))
    });
    files.dedup_by(|later, earlier| later.0 == earlier.0);
    let mut candidates: Vec<Candidate> = Vec::with_capacity(files.len() + 1);
    let mut newest = 0;
    for (rotation, gzipped, path) in files {
        let stamp = match rotation {
            Rotation::Stamp(stamp) => stamp.clone(),
            Rotation::Number(_) => {
                let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
                let Ok(modified) = modified else { continue };
                let nanos = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
                newest = nanos.max(newest + 1);
                format!("{newest:020}")
            }
        };
        candidates.extend(candidate(path, Some(stamp), *gzipped));
    }
    candidates
}

fn candidate(path: &Path, stamp: Option<String>, gzipped: bool) -> Option<Candidate> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    Some(Candidate { path: path.to_owned(), stamp, gzipped, device, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_belong_to_their_log_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, age: u64| {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            let at = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            file.set_modified(at).unwrap();
        };
        for (name, age) in [
            ("app.log", 0),
            ("app.log.1", 10),
            ("app.log.2", 20),
            ("app.log.3.gz", 30),
            ("app.log.3", 30),
            ("app.log.bak", 5),
            ("other.log.1", 5),
        ] {
            write(name, age);
        }
        let patterns = PathPattern::parse(&format!("{}/*", dir.path().display())).unwrap();
        let listing = list(&patterns, Compression::Rotated).unwrap();
        let shown: Vec<_> = listing
            .iter()
            .map(|(log, files)| {
                let names =
                    files.iter().map(|file| file.path.file_name().unwrap().to_str().unwrap());
                let log = log.container.rsplit('/').next().unwrap();
                format!("{log}: {}", names.collect::<Vec<_>>().join(" "))
            })
            .collect();
        let expected = [
            "app.log: app.log.3 app.log.2 app.log.1 app.log",
            "app.log.bak: app.log.bak",
            "other.log: other.log.1",
        ];
        assert_eq!(shown, expected);
        let stamps: Vec<_> =
            listing.values().next().unwrap().iter().map(|file| &file.stamp).collect();
        assert!(stamps[..3].is_sorted() && stamps[3].is_none(), "{stamps:?}");
    }
}

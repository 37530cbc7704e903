//! Files that are full get the time into their names, as the Collector's do: `traces-2026-11-24T20-00-00.000.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::config::Rotation as Settings;

const TIME: &str = "%Y-%m-%dT%H-%M-%S";
/// `2026-11-24T20-00-00.000`.
const TIME_BYTES: usize = 23;

/// The file, and the rules for those that came before it.
pub(super) struct Rotation<'a> {
    pub(super) path: &'a Path,
    pub(super) settings: &'a Settings,
}

impl Rotation<'_> {
    /// Gives the full file its name, and deletes those that are too old or too many.
    pub(super) fn rotate(&self, now: Timestamp) -> io::Result<()> {
        let mut time = now;
        // Two may be full within a millisecond.
        while self.backup(time).exists() {
            time += SignedDuration::from_millis(1);
        }
        fs::rename(self.path, self.backup(time))?;
        // What cannot be deleted now is tried again at the next rotation.
        if let Err(error) = self.clean(now) {
            tracing::warn!(path = %self.path.display(), %error, "could not delete old files");
        }
        Ok(())
    }

    fn clean(&self, now: Timestamp) -> io::Result<()> {
        let mut backups = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            let entry = entry?;
            if let Some(time) = entry.file_name().to_str().and_then(|name| self.time(name)) {
                backups.push((time, entry.path()));
            }
        }
        backups.sort_unstable_by(|one, two| two.cmp(one));
        let Settings { max_backups, max_days, .. } = *self.settings;
        let days = SignedDuration::from_hours(24 * i64::from(max_days));
        let oldest = now.checked_sub(days).unwrap_or(Timestamp::MIN);
        for (n, (time, path)) in backups.iter().enumerate() {
            let is_one_too_many = max_backups > 0 && n >= max_backups as usize;
            if is_one_too_many || (max_days > 0 && *time < oldest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn zone(&self) -> TimeZone {
        if self.settings.localtime { TimeZone::system() } else { TimeZone::UTC }
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// What stands before the time in a name, and what after it.
    fn around(&self) -> (String, String) {
        let part = |part: Option<&std::ffi::OsStr>| {
            part.map_or(String::new(), |part| part.to_string_lossy().into_owned())
        };
        let extension = self
            .path
            .extension()
            .map_or(String::new(), |extension| format!(".{}", extension.to_string_lossy()));
        (format!("{}-", part(self.path.file_stem())), extension)
    }

    fn backup(&self, time: Timestamp) -> PathBuf {
        let (before, after) = self.around();
        let millis = time.subsec_millisecond();
        let time = self.zone().to_datetime(time).strftime(TIME).to_string();
        self.folder().join(format!("{before}{time}.{millis:03}{after}"))
    }

    /// The time in the name of a file that was full, if it is one of ours.
    fn time(&self, name: &str) -> Option<Timestamp> {
        let (before, after) = self.around();
        let time = name.strip_prefix(&before)?.strip_suffix(&after)?;
        if time.len() != TIME_BYTES {
            return None;
        }
        let (seconds, millis) = time.split_once('.')?;
        let civil = jiff::civil::DateTime::strptime(TIME, seconds).ok()?;
        let time = self.zone().to_timestamp(civil).ok()?;
        time.checked_add(SignedDuration::from_millis(millis.parse().ok()?)).ok()
    }
}

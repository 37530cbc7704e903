//! The folder in which one demo at a time keeps its files.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::LaunchError;

/// The demo's folder, locked for as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// The lock goes with the open file, so the kernel lifts it however the process ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be, and takes it for this process.
    pub(super) fn open(path: &Path) -> Result<Self, LaunchError> {
        let unusable = |cause| LaunchError::Folder { path: path.to_owned(), cause };
        let root = std::path::absolute(path).map_err(unusable)?;
        fs::create_dir_all(&root).map_err(unusable)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => LaunchError::FolderInUse { path: root.clone() },
            TryLockError::Error(cause) => unusable(cause),
        })?;

        let folder = Self { root, _lock: lock };
        for part in [folder.pods(), folder.agent()] {
            fs::create_dir_all(&part).and_then(|()| check_writable(&part)).map_err(unusable)?;
        }
        Ok(folder)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What a node has as `/var/log/pods`.
    pub(super) fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// The agent's state: its store and its checkpoints.
    pub(super) fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// What the agent has to say about itself.
    pub(super) fn agent_log(&self) -> PathBuf {
        self.root.join("agent.log")
    }
}

fn check_writable(folder: &Path) -> io::Result<()> {
    let probe = folder.join(".writable");
    File::create(&probe)?;
    fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_demo_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/folder");
        let first = Folder::open(&path).unwrap();
        let refused = Folder::open(&path).unwrap_err();
        assert!(matches!(refused, LaunchError::FolderInUse { .. }), "{refused}");
        drop(first);
        Folder::open(&path).unwrap();
    }

    #[test]
    fn a_path_that_cannot_be_a_folder_is_refused_with_its_name() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, b"").unwrap();
        let refused = Folder::open(&file.join("below")).unwrap_err();
        assert!(refused.to_string().contains("file/below"), "{refused}");
        assert_eq!(refused.exit_code(), 2);
    }
}

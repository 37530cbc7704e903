//! Gives a folder to the user that the agent runs as.
//!
//! The kubelet makes the folder of a `hostPath` as root's, and the agent is not root. An init container that is does this
//! with the agent's own image, in which there is no shell to do it with.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    user: u32,
    group: u32,
}

impl FromStr for Owner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
        text.split_once(':')
            .and_then(|(user, group)| Some(Self { user: number(user)?, group: number(group)? }))
            .ok_or("a user and a group by number are expected, such as 65534:0")
    }
}

/// Gives `directory`, which is made if it is missing, and everything in it to `owner`. Links are given, not followed.
///
/// # Errors
/// The first thing that could not be given, and why. What comes before it has been given.
pub(crate) fn give(directory: &Path, owner: Owner) -> Result<(), (PathBuf, io::Error)> {
    fs::create_dir_all(directory).map_err(|error| (directory.to_owned(), error))?;
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let named = |error: io::Error| (path.clone(), error);
        let found = fs::symlink_metadata(&path).map_err(named)?;
        if found.is_dir() {
            for entry in fs::read_dir(&path).map_err(named)? {
                left.push(entry.map_err(named)?.path());
            }
        }
        // What is right already is left alone: a restart then needs no rights at all.
        if (found.uid(), found.gid()) != (owner.user, owner.group) {
            let (user, group) = (Uid::from_raw(owner.user), Gid::from_raw(owner.group));
            chownat(CWD, &path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| named(error.into()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!("65534:0".parse(), Ok(Owner { user: 65534, group: 0 }));
        for wrong in ["", "65534", "nobody:0", "1:2:3", "-1:0", "4294967295:0"] {
            assert!(wrong.parse::<Owner>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_that_is_right_already_needs_no_rights() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("state/deep");
        let own = fs::metadata(directory.path()).unwrap();
        let owner = Owner { user: own.uid(), group: own.gid() };
        give(&below, owner).unwrap();
        fs::write(below.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", below.join("link")).unwrap();
        give(directory.path(), owner).unwrap();
        let link = fs::symlink_metadata(below.join("link")).unwrap();
        assert_eq!((link.uid(), link.gid()), (own.uid(), own.gid()));
    }

    #[test]
    fn everything_in_the_folder_is_given_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        if fs::metadata(directory.path()).unwrap().uid() != 0 {
            // Only root can give; the test above has what others can see.
            return;
        }
        let outside = tempfile::tempdir().unwrap();
        let (state, target) = (directory.path().join("state"), outside.path().join("target"));
        fs::create_dir_all(state.join("a/b")).unwrap();
        fs::write(state.join("a/b/file"), "").unwrap();
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(outside.path(), state.join("link")).unwrap();
        give(&state, Owner { user: 65534, group: 7 }).unwrap();
        for given in ["", "a", "a/b", "a/b/file", "link"] {
            let found = fs::symlink_metadata(state.join(given)).unwrap();
            assert_eq!((found.uid(), found.gid()), (65534, 7), "{given:?}");
        }
        assert_eq!(
            fs::metadata(&target).unwrap().uid(),
            0,
            "what a link leads to is not ours to give"
        );
    }

    #[test]
    fn what_cannot_be_given_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let (path, _) = give(&file.join("below"), Owner { user: 0, group: 0 }).unwrap_err();
        assert_eq!(path, file.join("below"));
    }
}

//! The log of one container of one pod, where kubelet would have it.
//!
//! Each run of the demo is a new pod: `<pods>/<namespace>_<pod>_<uid>/<container>/0.log`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::children::LineSink;
use super::cri::{self, Stream, Tag};
use super::rotate::{Limits, RotatingFile};

const NAMESPACE: &str = "default";
/// How many pods of former runs keep their logs, for each service.
const KEPT_PODS: usize = 3;

/// Writes a container's lines as containerd does.
#[derive(Debug)]
pub(super) struct PodLog {
    file: RotatingFile,
    /// Entries that are complete but not yet in the file.
    pending: Vec<u8>,
}

impl PodLog {
    /// Makes the folder of a new pod of `service`, and removes those of its oldest.
    pub(super) fn create(pods: &Path, service: &str) -> io::Result<Self> {
        remove_old_pods(pods, service)?;
        let container =
            pods.join(format!("{NAMESPACE}_{service}-{}_{}", pod_hash(), pod_uid())).join(service);
        fs::create_dir_all(&container)?;
        let file = RotatingFile::open(container.join("0.log"), Limits::default())?;
        Ok(Self { file, pending: Vec::new() })
    }
}

impl LineSink for PodLog {
    fn line(&mut self, stream: Stream, tag: Tag, text: &[u8]) {
        cri::append_entry(&mut self.pending, Timestamp::now(), stream, tag, text);
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.append(&self.pending, Timestamp::now());
        self.pending.clear();
        written
    }
}

fn remove_old_pods(pods: &Path, service: &str) -> io::Result<()> {
    let prefix = format!("{NAMESPACE}_{service}-");
    let mut old: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(pods)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            old.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    old.sort();
    let excess = old.len().saturating_sub(KEPT_PODS);
    old.drain(..excess).try_for_each(|(_, pod)| fs::remove_dir_all(pod))
}

/// A ReplicaSet's hash: kubernetes leaves out the letters with which it could spell a word.
fn pod_hash() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    std::iter::repeat_with(|| char::from(LETTERS[fastrand::usize(..LETTERS.len())]))
        .take(10)
        .collect()
}

/// A random UUID, version 4.
fn pod_uid() -> String {
    let random = fastrand::u128(..);
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods_of(pods: &Path, service: &str) -> Vec<String> {
        fs::read_dir(pods)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(&format!("default_{service}-")))
            .collect()
    }

    #[test]
    fn a_pod_is_named_as_kubelet_names_it() {
        let pods = tempfile::tempdir().unwrap();
        let _log = PodLog::create(pods.path(), "api-node").unwrap();
        let [name] = &pods_of(pods.path(), "api-node")[..] else { panic!("not one pod") };
        assert!(pods.path().join(name).join("api-node/0.log").is_file());

        let parts: Vec<_> = name.split('_').collect();
        let ["default", pod, uid] = parts[..] else { panic!("{name}") };
        assert_eq!(pod.len(), "api-node-".len() + 10);
        let groups: Vec<_> = uid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{uid}");
        assert_eq!(uid.as_bytes()[14], b'4', "{uid}");
        assert!(b"89ab".contains(&uid.as_bytes()[19]), "{uid}");
    }

    #[test]
    fn lines_of_both_streams_are_in_the_file_in_the_order_they_came() {
        let pods = tempfile::tempdir().unwrap();
        let mut log = PodLog::create(pods.path(), "api-node").unwrap();
        log.line(Stream::Stdout, Tag::Full, b"one");
        log.line(Stream::Stderr, Tag::Partial, b"two");
        log.flush().unwrap();
        log.line(Stream::Stdout, Tag::Full, b"three");
        log.flush().unwrap();

        let pod = pods.path().join(&pods_of(pods.path(), "api-node")[0]);
        let text = fs::read_to_string(pod.join("api-node/0.log")).unwrap();
        let entries: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(entries, ["stdout F one", "stderr P two", "stdout F three"]);
    }

    #[test]
    fn a_few_pods_of_former_runs_are_kept_and_those_of_other_services_are_left_alone() {
        let pods = tempfile::tempdir().unwrap();
        drop(PodLog::create(pods.path(), "api-python").unwrap());
        for _ in 0..KEPT_PODS + 4 {
            drop(PodLog::create(pods.path(), "api-node").unwrap());
        }
        assert_eq!(pods_of(pods.path(), "api-node").len(), KEPT_PODS + 1);
        assert_eq!(pods_of(pods.path(), "api-python").len(), 1);
    }
}

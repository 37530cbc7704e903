//! Who a file is: an inode alone is none, because the next `0.log` often gets the one that was just freed.
//!
//! The beginning of a container's log carries times in nanoseconds, so beside the inode and under its pod's path
//! it says enough. The device is left out of what is stored: its number may change at a boot.

/// How much of a file's beginning is remembered where the configuration does not say.
pub(super) const HEAD_BYTES: usize = 1024;
/// What the configuration can say.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;

/// A file as a checkpoint knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) inode: u64,
    /// How many bytes `head_hash` covers: a young file is shorter than a head.
    pub(super) head_len: usize,
    pub(super) head_hash: u64,
}

impl FileId {
    pub(super) fn new(inode: u64, head: &[u8]) -> Self {
        Self { inode, head_len: head.len(), head_hash: hash(head) }
    }

    /// Whether a file begins as this one did.
    pub(super) fn has_head(&self, head: &[u8]) -> bool {
        head.get(..self.head_len).is_some_and(|head| hash(head) == self.head_hash)
    }
}

/// FNV-1a: it must be the same after an upgrade, and withstands nobody, because whoever can write a pod's log
/// can write anything there anyway.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_again_when_it_has_grown() {
        let id = FileId::new(7, b"first line\n");
        assert!(id.has_head(b"first line\nsecond line\n"));
        assert!(!id.has_head(b"First line\nsecond line\n"));
        assert!(!id.has_head(b"first"));
    }
}

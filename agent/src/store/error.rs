//! What can go wrong, for those who must act on it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;

/// Why the store cannot be opened.
#[derive(Debug)]
pub enum StoreError {
    /// The folder or a file in it cannot be made, listed or written.
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder open.
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The cap leaves no room for a slice.
    CapTooSmall {
        /// What was configured.
        max_bytes: u64,
        /// The least that works.
        minimum_bytes: u64,
    },
    /// A new slice cannot be made.
    Slice {
        /// Its file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Why a batch was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// The store is closed.
    Closed,
    /// The batch alone is larger than a slice.
    TooLarge {
        /// Roughly what it would take.
        batch_bytes: u64,
        /// What a slice may hold.
        slice_bytes: u64,
    },
    /// The disk is full.
    DiskFull,
    /// The disk or the file failed in another way.
    Failed {
        /// What SQLite or the system said.
        message: String,
    },
}

/// Why a query has no answer.
#[derive(Debug)]
pub enum ReadError {
    /// It took longer than a query may.
    TooSlow {
        /// The limit.
        limit: Duration,
    },
    /// The answer would be larger than an answer may be.
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// Too many queries are waiting already.
    Busy,
    /// The files cannot be read.
    Failed {
        /// What SQLite or the system said.
        message: String,
    },
}

impl WriteError {
    /// Whether the same batch may be taken later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::DiskFull | Self::Failed { .. } => true,
            Self::Closed | Self::TooLarge { .. } => false,
        }
    }

    /// The word that counts it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::TooLarge { .. } => "too_large",
            Self::DiskFull => "disk_full",
            Self::Failed { .. } => "io",
        }
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Failed { message: error.to_string() },
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Failed { message: error.to_string() },
        }
    }
}

/// Whether the file itself is damaged, so that trying again cannot help.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, source } => write!(
                f,
                "cannot use {} as the store's folder: {source}; make it writable or name another",
                path.display()
            ),
            Self::InUse { path } => write!(
                f,
                "another process has the store in {} open; stop it or name another folder",
                path.display()
            ),
            Self::CapTooSmall { max_bytes, minimum_bytes } => {
                write!(f, "max_bytes is {max_bytes}; the store needs at least {minimum_bytes}")
            }
            Self::Slice { path, source } => write!(
                f,
                "cannot make the slice {}: {source}; check free space and permissions",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory { source, .. } => Some(source),
            Self::Slice { source, .. } => Some(source),
            Self::InUse { .. } | Self::CapTooSmall { .. } => None,
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the store is closed"),
            Self::TooLarge { batch_bytes, slice_bytes } => write!(
                f,
                "a batch of {batch_bytes} bytes does not fit into a slice of {slice_bytes}; \
                 raise max_bytes or send smaller batches"
            ),
            Self::DiskFull => {
                f.write_str("the store's disk is full; free space or lower max_bytes")
            }
            Self::Failed { message } => write!(f, "cannot write to the store: {message}"),
        }
    }
}

impl std::error::Error for WriteError {}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow { limit } => write!(
                f,
                "the query took longer than {} s; narrow its time range or name a label",
                limit.as_secs()
            ),
            Self::TooLarge { limit_bytes } => write!(
                f,
                "the answer is larger than {limit_bytes} bytes; lower the limit or narrow the query"
            ),
            Self::Busy => f.write_str("too many queries are running; try again"),
            Self::Failed { message } => write!(f, "cannot read the store: {message}"),
        }
    }
}

impl std::error::Error for ReadError {}

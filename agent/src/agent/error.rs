//! Why an agent cannot start, told to whoever starts it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::reload::Unusable;
use crate::state_lock::LockError;
use crate::store::StoreError;
use crate::tail::TailError;

/// Why an agent cannot start.
#[derive(Debug)]
pub enum BuildError {
    /// A port cannot be bound.
    Bind {
        /// What was to be served there.
        what: &'static str,
        /// The address.
        address: String,
        /// What sets it.
        from: String,
        /// What the system says.
        source: io::Error,
    },
    /// Another agent uses the state directory.
    StateHeld {
        /// The directory.
        directory: PathBuf,
        /// The other agent's process, where it is known.
        process: Option<u32>,
    },
    /// The state directory cannot be made or written.
    State {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store cannot be opened.
    Store(StoreError),
    /// The tailer cannot start.
    Tail(TailError),
    /// An exporter's endpoint is no address.
    Exporter {
        /// The exporter.
        from: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// A file that the configuration names cannot be used: a certificate, a key, a token.
    Unusable(Unusable),
}

impl BuildError {
    pub(super) fn state(directory: &Path, error: LockError) -> Self {
        let directory = directory.to_owned();
        match error {
            LockError::Held(process) => Self::StateHeld { directory, process },
            LockError::Io(source) => Self::State { directory, source },
        }
    }
}

impl From<Unusable> for BuildError {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind { what, address, from, source } => write!(
                f,
                "cannot listen on {address} for {what}: {source}; stop what listens there or change {from}"
            ),
            Self::StateHeld { directory, process } => {
                write!(f, "another agent ")?;
                if let Some(process) = process {
                    write!(f, "(process {process}) ")?;
                }
                write!(
                    f,
                    "uses {}; stop it, or choose another folder for file_storage (--state)",
                    directory.display()
                )
            }
            Self::State { directory, source } => write!(
                f,
                "cannot write to {}: {source}; make it writable, or choose another folder for file_storage \
                 (--state)",
                directory.display()
            ),
            Self::Store(error) => write!(f, "cannot open the store: {error}"),
            Self::Exporter { from, source } => {
                write!(f, "the endpoint of exporter {from} is no address: {source}")
            }
            Self::Tail(error) => write!(f, "cannot tail pod logs: {error}"),
            Self::Unusable(unusable) => unusable.fmt(f),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::State { source, .. } => Some(source),
            Self::Store(error) => Some(error),
            Self::Tail(error) => Some(error),
            Self::Unusable(unusable) => Some(unusable),
            Self::Exporter { source, .. } => Some(source),
            Self::StateHeld { .. } => None,
        }
    }
}

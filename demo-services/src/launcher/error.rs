//! Why a demo did not run, for the person who started it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What went wrong, and what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// A port cannot be had.
    Port {
        /// The port.
        port: u16,
        /// What should listen there.
        what: &'static str,
        /// The flag that names another.
        flag: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The demo's folder cannot be made or written.
    Folder {
        /// The folder as it was given.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another demo has the folder.
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The machine refuses what any program needs: threads, pipes, processes.
    Runtime(io::Error),
    /// A child ended that should run.
    Died {
        /// Its name.
        name: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last that it wrote.
        last_lines: Vec<String>,
    },
    /// A child runs but does not get ready.
    NotReady {
        /// Its name.
        name: &'static str,
        /// How long it had.
        waited: Duration,
        /// The last that it wrote.
        last_lines: Vec<String>,
    },
    /// The request got no answer, or not the right one.
    Request(String),
    /// The trace or its lines did not come together.
    Verdict(String),
    /// A second signal ended the children before they had stopped.
    Killed,
}

/// The exit code of something that the caller must change; clap's own, too.
const EXIT_SETTINGS: u8 = 2;

impl LaunchError {
    /// The exit code by which a script knows what happened.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Port { .. } | Self::Folder { .. } | Self::FolderInUse { .. } => EXIT_SETTINGS,
            _ => 1,
        }
    }
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { port, what, flag, cause } => write!(
                f,
                "cannot use port {port} for {what}: {cause}; stop what listens there, or choose \
                 another port with {flag} (0 is any free one)"
            ),
            Self::Folder { path, cause } => write!(
                f,
                "cannot use the folder {}: {cause}; choose another with --dir",
                path.display()
            ),
            Self::FolderInUse { path } => write!(
                f,
                "another demo runs in the folder {}; stop it, or choose another folder with --dir",
                path.display()
            ),
            Self::Runtime(cause) => write!(f, "the system refuses to run this: {cause}"),
            Self::Died { name, status, last_lines } => {
                write!(f, "{name} ended ({status})")?;
                write_last_lines(f, last_lines)
            }
            Self::NotReady { name, waited, last_lines } => {
                write!(f, "{name} was not ready after {} s", waited.as_secs())?;
                write_last_lines(f, last_lines)
            }
            Self::Request(what) | Self::Verdict(what) => f.write_str(what),
            Self::Killed => f.write_str("killed before everything had stopped"),
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Port { cause, .. } | Self::Folder { cause, .. } | Self::Runtime(cause) => {
                Some(cause)
            }
            _ => None,
        }
    }
}

fn write_last_lines(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    /// Enough to see the cause, few enough to be read.
    const SHOWN: usize = 10;
    if lines.is_empty() {
        return f.write_str("; it wrote nothing");
    }
    f.write_str("; its last lines:")?;
    lines[lines.len().saturating_sub(SHOWN)..].iter().try_for_each(|line| write!(f, "\n  {line}"))
}

//! What the log path is told: the format, the output, its bounds.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::format_name::LogFormat;
use super::options::LineOptions;

/// Bytes of lines that may wait for the output.
pub(crate) const DEFAULT_QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// The part of the queue that only WARN and ERROR may use, so that the lines which explain a flood
/// are not lost in it.
pub(crate) const DEFAULT_RESERVED_BYTES: usize = 1024 * 1024;
/// A log file that would grow beyond this is set aside.
pub(crate) const DEFAULT_FILE_BYTES: usize = 10 * 1024 * 1024;
/// So many files that were set aside are kept.
pub(crate) const DEFAULT_FILES_KEPT: usize = 5;
/// The longest line, newline included: with the prefix that a container runtime adds, it still is
/// one record of 16 KiB.
pub(crate) const DEFAULT_MAX_LINE_BYTES: usize = 16_000;

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogOutput {
    /// The process's standard output.
    #[default]
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file, appended to; at 10 MiB it is renamed to `<name>.1`, and five of those are kept
    /// ([`Builder::log_file_bytes`](crate::Builder::log_file_bytes),
    /// [`Builder::log_files_kept`](crate::Builder::log_files_kept)). What is no regular file is never renamed.
    File(PathBuf),
    /// Nowhere: lines are made, counted as written, and thrown away. For benchmarks, and for tests that
    /// only want the [ledger](crate::Telemetry::ledger). No thread is started, and threads that log share no
    /// lock. No variable says this; a builder's call does.
    Discard,
}

impl LogOutput {
    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
            Self::File(_) | Self::Discard => false,
        }
    }
}

impl fmt::Display for LogOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
            Self::Discard => f.write_str("nowhere"),
        }
    }
}

impl FromStr for LogOutput {
    type Err = Infallible;

    /// Reads `stdout`, `stderr`, or a file's path; `./stdout` is a file of that name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(PathBuf::from(path)),
        })
    }
}

/// Everything that [`start`](super::start) needs to know.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    /// How a line is written.
    pub(crate) format: LogFormat,
    /// Where it goes.
    pub(crate) output: LogOutput,
    /// The service's name, which the `python` format prints.
    pub(crate) service_name: Arc<str>,
    /// The longest line, newline included.
    pub(crate) max_line_bytes: usize,
    /// How many bytes of lines may wait for the output.
    pub(crate) queue_bytes: usize,
    /// How many of these are kept for WARN and ERROR.
    pub(crate) reserved_bytes: usize,
    /// How large a file may grow.
    pub(crate) file_bytes: usize,
    /// How many files that were set aside are kept.
    pub(crate) files_kept: usize,
    /// The zone of the `python` format's times; all others print UTC.
    pub(crate) time_zone: TimeZone,
    /// Everything else about how a line looks.
    pub(crate) options: LineOptions,
}

impl LogSettings {
    /// The defaults: `text` to stdout.
    pub(crate) fn new(service_name: impl Into<Arc<str>>) -> Self {
        Self {
            format: LogFormat::default(),
            output: LogOutput::default(),
            service_name: service_name.into(),
            max_line_bytes: DEFAULT_MAX_LINE_BYTES,
            queue_bytes: DEFAULT_QUEUE_BYTES,
            reserved_bytes: DEFAULT_RESERVED_BYTES,
            file_bytes: DEFAULT_FILE_BYTES,
            files_kept: DEFAULT_FILES_KEPT,
            time_zone: TimeZone::system(),
            options: LineOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_stream_by_name_or_else_a_path() {
        assert_eq!("stdout".parse(), Ok(LogOutput::Stdout));
        assert_eq!("stderr".parse(), Ok(LogOutput::Stderr));
        assert_eq!("./stdout".parse(), Ok(LogOutput::File("./stdout".into())));
    }
}

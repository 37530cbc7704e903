//! Follows the log files of a node's containers and hands their lines on, each exactly once.
//!
//! `discover` finds the files of pods and `matching` those of patterns, `file` reads them (`gz` those that are gzipped), `lines` cuts them into lines, `log`
//! joins the files of one container run into one sequence, `ledger` knows how far it has been
//! delivered, `checkpoint` keeps that over restarts, and `worker` does it all in turn.
//!
//! It has a thread of its own: a slow disk holds back nobody else.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use regex::Regex;
use tokio::sync::{oneshot, watch};
use tracing::error;

use crate::config::{Compression, Cutting, Files};
use crate::record::{LogRecord, Resource};
use crate::self_metrics::SelfMetrics;
use crate::sink::Sink;
use checkpoint::{Checkpoint, Positions};
use discover::LogName;
use head::HEAD_BYTES;
use worker::Worker;

mod checkpoint;
mod discover;
mod file;
mod gz;
mod head;
mod ledger;
mod lines;
mod log;
mod matching;
mod worker;

/// Where to look, where to remember, and how long to wait.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which files.
    pub files: Files,
    /// Which of them are gzipped.
    pub compression: Compression,
    /// How they become lines.
    pub cutting: Cutting,
    /// Logs whose paths match one of these are left alone.
    pub exclude: Vec<Regex>,
    /// Logs that nobody has written to for so long, before they are followed, are left alone too.
    pub exclude_older_than: Option<Duration>,
    /// How much of a file's beginning tells it from others.
    pub fingerprint_bytes: usize,
    /// Whether logs that are there at the first start, before there is a checkpoint, are read from their beginning; else only
    /// what is added to them.
    pub from_beginning: bool,
    /// The folder of the checkpoint; without one, every start begins anew.
    pub checkpoint_dir: Option<PathBuf>,
    /// How often files are looked at.
    pub poll_interval: Duration,
    /// How often the checkpoint is written, at most.
    pub checkpoint_interval: Duration,
    /// How long a rotated file is still read after its successor is there: the container runtime writes to
    /// it until it has changed over.
    pub rotation_grace: Duration,
    /// How long the rest of a split line is waited for, from when its newest part was read.
    pub join_timeout: Duration,
    /// The same, from when it began, whatever else is read; `None` for no such limit.
    pub hold_timeout: Option<Duration>,
    /// How long lost batches wait until they are read again.
    pub retry_interval: Duration,
    /// How long a stop may take.
    pub stop_timeout: Duration,
    /// How many files may be open; the logs beyond wait, and are counted.
    pub max_open_files: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            files: Files::Pods(PathBuf::from("/var/log/pods")),
            compression: Compression::Rotated,
            cutting: Cutting::default(),
            exclude: Vec::new(),
            exclude_older_than: None,
            fingerprint_bytes: HEAD_BYTES,
            from_beginning: true,
            checkpoint_dir: None,
            poll_interval: Duration::from_millis(250),
            checkpoint_interval: Duration::from_secs(1),
            rotation_grace: Duration::from_secs(1),
            join_timeout: Duration::from_secs(10),
            hold_timeout: None,
            retry_interval: Duration::from_secs(1),
            stop_timeout: Duration::from_secs(4),
            max_open_files: 512,
        }
    }
}

impl Config {
    /// The path of a log: below the folder of pods, or its own.
    fn path_of(&self, name: &LogName) -> PathBuf {
        match &self.files {
            Files::Pods(dir) => dir.join(name.relative_path()),
            Files::Matching(_) => PathBuf::from(name.relative_path()),
        }
    }
}

/// Makes records of the lines of one container run, in the order in which they were written.
///
/// The same lines must give the same records: after a restart, lines are read again from the start of a
/// split one, and the records that were already delivered are left out by their number.
pub trait Parser: Send {
    /// Takes the next line, without its newline, and appends every record that it completes.
    fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<Parsed>) -> Progress;

    /// Appends what has begun and not ended: there will be no more.
    fn flush(&mut self, out: &mut Vec<Parsed>);
}

/// A record, and who wrote it. Records in a row of the same writer share one resource.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Who wrote it.
    pub resource: Arc<Resource>,
    /// What was written.
    pub record: LogRecord,
}

/// Whether a parser holds something back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything that was read is in the records.
    Complete,
    /// A line has begun that is continued in a later one.
    Pending,
    /// The same, and it began with this line: everything before it is in the records, those that this line brought included.
    Begun,
}

/// Makes the parser for the log with this path, which is the one of its `<n>.log`.
pub type ParserFactory = Arc<dyn Fn(&Path) -> Box<dyn Parser> + Send + Sync>;

/// Why a tailer could not be made.
#[derive(Debug)]
pub enum TailError {
    /// The checkpoint's folder is not usable.
    Checkpoint {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl fmt::Display for TailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { dir, source } => write!(
                f,
                "cannot keep a checkpoint in {}: {source}; make room there, make the folder writable, or \
                 choose another one",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for TailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint { source, .. } => Some(source),
        }
    }
}

/// Follows log files; see the module's documentation.
pub struct Tailer {
    config: Config,
    sink: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
    parsers: ParserFactory,
    checkpoint: Option<Checkpoint>,
    positions: Positions,
}

impl Tailer {
    /// A tailer that goes on where the checkpoint ends, and reads from the beginning what is not in it.
    ///
    /// # Errors
    /// [`TailError::Checkpoint`] when the checkpoint cannot be kept.
    pub fn new(
        config: Config,
        sink: Arc<dyn Sink>,
        metrics: Arc<SelfMetrics>,
        parsers: ParserFactory,
    ) -> Result<Self, TailError> {
        let open = |dir: &PathBuf| {
            let checkpoint = Checkpoint::in_folder(dir)?;
            let positions = checkpoint.load()?;
            // Written at once, so that a folder that cannot be written to is a fault of the start.
            checkpoint.store(positions.iter())?;
            Ok((checkpoint, positions))
        };
        let fault = |dir: &PathBuf, source| TailError::Checkpoint { dir: dir.clone(), source };
        let opened = config.checkpoint_dir.as_ref();
        let opened =
            opened.map(|dir| open(dir).map_err(|source| fault(dir, source))).transpose()?;
        let (checkpoint, positions) = opened.unzip();
        let positions = positions.unwrap_or_default();
        Ok(Self { config, sink, metrics, parsers, checkpoint, positions })
    }

    /// Follows the files until `stop` is true: then it reads what is there, waits for the answers within the
    /// configured time, writes the checkpoint and returns. Dropped before, it ends without a checkpoint.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (kept_alive, alive) = watch::channel(());
        let (done, ended) = oneshot::channel::<()>();
        let (tell_stop, stopping) = watch::channel(false);
        let worker = Worker::new(self, stopping, alive);
        let thread =
            std::thread::Builder::new().name("spanline-tail".to_owned()).spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(worker.run()),
                    Err(error) => error!(%error, "the tailer has no runtime; no log is read"),
                }
                drop(done);
            });
        if let Err(error) = thread {
            return error!(%error, "the tailer has no thread; no log is read");
        }
        tokio::pin!(ended);
        tokio::select! {
            // A sender that is gone means to stop as well.
            _ = stop.wait_for(|stop| *stop) => {}
            _ = &mut ended => {
                error!("the tailer has ended; no log is read until the agent is restarted");
                return;
            }
        }
        tell_stop.send_replace(true);
        // Ends with an error, because it is only ever dropped.
        drop(ended.await);
        drop(kept_alive);
    }
}

impl fmt::Debug for Tailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tailer").field("config", &self.config).finish_non_exhaustive()
    }
}

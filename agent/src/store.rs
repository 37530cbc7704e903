//! The embedded store: lines, spans and metrics on disk, for those who run no Loki, Tempo or Prometheus.
//!
//! Telemetry is kept in time slices by arrival, each a SQLite file of a sixteenth of the cap.
//! One thread writes, many batches to a transaction; readers have connections of their own, a time
//! limit and row limits. Retention deletes the oldest slice whole, so the cap costs no vacuuming
//! and holds at every moment, write-ahead log included.
//!
//! ```text
//! write ─▶ bounded channel ─▶ writer thread ─▶ newest slice ─▶ (full) ─▶ sealed slices ─▶ deleted
//!                                                  ▲                        ▲
//! lines, trace, series ── blocking threads ────────┴────────────────────────┘
//! ```

mod directory;
mod error;
mod insert;
mod insert_points;
mod labels;
mod lines;
pub mod logql;
mod points;
mod read;
mod retain;
mod schema;
mod slice;
mod traces;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use error::{ReadError, StoreError, WriteError};
pub use lines::{Direction, Line, LineKey, LineQuery, Needle};
pub use points::{Matcher, Operator, Sample, SeriesQuery, Stored, StoredExample, StoredSeries};
pub use traces::{SearchQuery, Trace, TraceSummary};

use crate::record::{Batch, TraceId};
use crate::self_metrics::SelfMetrics;
use read::Reader;
use write::WriterHandle;

/// The smallest cap that leaves every slice room for its tables.
const MIN_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The cap where none is configured.
pub const DEFAULT_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Where the store lives, and how large it may grow.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the slices; created when it is missing, readable by its owner only.
    pub directory: PathBuf,
    /// The most that all files together may take, in bytes; at least 4 MiB.
    pub max_bytes: u64,
    /// How long what has arrived is kept, if the cap leaves it that long; without an end where there is none. A sixteenth
    /// of it may pass until what is too old goes, since slices go as a whole.
    pub max_age: Option<Duration>,
    /// The label `cluster` of every line, where the agent knows its cluster's name.
    pub cluster: Option<String>,
}

impl Config {
    /// A store in `directory` with the default cap.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            max_bytes: DEFAULT_MAX_BYTES,
            max_age: None,
            cluster: None,
        }
    }
}

/// A handle on the store; its clones share the writer thread and the files.
#[derive(Clone)]
pub struct Store {
    writer: Arc<WriterHandle>,
    reader: Arc<Reader>,
}

impl Store {
    /// Opens the store, takes up what an earlier process left there, and starts the writer.
    ///
    /// A slice that cannot be read is set aside with a warning; the others are shown.
    ///
    /// # Errors
    /// When the folder cannot be made or written, when another process holds it, or when the
    /// cap is below its minimum.
    pub fn open(config: Config, metrics: Arc<SelfMetrics>) -> Result<Self, StoreError> {
        if config.max_bytes < MIN_MAX_BYTES {
            return Err(StoreError::CapTooSmall {
                max_bytes: config.max_bytes,
                minimum_bytes: MIN_MAX_BYTES,
            });
        }
        let (writer, slices) = write::Writer::open(config, metrics)?;
        let writer = writer.start()?;
        Ok(Self { writer: Arc::new(writer), reader: Arc::new(Reader::new(slices)) })
    }

    /// Stores a batch; returns when it is committed to disk. Points of metrics that contradict themselves are left out
    /// and counted.
    ///
    /// # Errors
    /// [`WriteError`], which says whether trying again can help. Nothing of the batch is stored
    /// then.
    pub async fn write(&self, batch: Arc<Batch>) -> Result<(), WriteError> {
        self.writer.write(batch).await
    }

    /// Commits what waits and stops the writer; later writes are refused, reads go on.
    pub async fn close(&self) {
        self.writer.close().await;
    }

    /// The lines that match, in the query's direction.
    ///
    /// # Errors
    /// When the query took too long or asked for too much, or the files cannot be read.
    pub async fn lines(&self, query: LineQuery) -> Result<Vec<Line>, ReadError> {
        if query.matches_nothing {
            return Ok(Vec::new());
        }
        self.reader.run(move |session| lines::query(session, &query)).await
    }

    /// The names of all labels of lines between two times (nanoseconds since 1970, end
    /// excluded), sorted.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn label_names(
        &self,
        start_unix_nano: i64,
        end_unix_nano: i64,
    ) -> Result<Vec<String>, ReadError> {
        self.reader
            .run(move |session| lines::label_names(session, start_unix_nano, end_unix_nano))
            .await
    }

    /// The values of one label of lines between two times, sorted.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn label_values(
        &self,
        name: String,
        start_unix_nano: i64,
        end_unix_nano: i64,
    ) -> Result<Vec<String>, ReadError> {
        self.reader
            .run(move |session| lines::label_values(session, &name, start_unix_nano, end_unix_nano))
            .await
    }

    /// All spans of one trace; `None` when there is none.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn trace(&self, id: TraceId) -> Result<Option<Trace>, ReadError> {
        self.reader.run(move |session| traces::trace(session, id)).await
    }

    /// The newest traces that match.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn search(&self, query: SearchQuery) -> Result<Vec<TraceSummary>, ReadError> {
        self.reader.run(move |session| traces::search(session, &query)).await
    }
}

impl Store {
    /// The series that match, with their samples: oldest first, without those that say that there is none.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn series(&self, query: SeriesQuery) -> Result<Vec<StoredSeries>, ReadError> {
        self.reader.run(move |session| points::series(session, &query)).await
    }

    /// The series that match and have any sample, without them.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn series_names(&self, query: SeriesQuery) -> Result<Vec<Stored>, ReadError> {
        self.reader.run(move |session| points::names(session, &query)).await
    }

    /// The examples of the series that match: oldest first.
    ///
    /// # Errors
    /// As [`Store::lines`].
    pub async fn examples(
        &self,
        query: SeriesQuery,
    ) -> Result<Vec<(Stored, Vec<StoredExample>)>, ReadError> {
        self.reader.run(move |session| points::examples(session, &query)).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

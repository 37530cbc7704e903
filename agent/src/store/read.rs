//! Queries: on blocking threads, on connections of their own, within a time limit.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;

use super::error::{ReadError, is_corruption};
use super::slice::{Slice, Slices};

/// How long a query may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// How many queries run at once; the others wait, for no longer than a query may take.
const QUERIES_AT_ONCE: usize = 4;

/// SQLite asks for the time once in this many of its instructions.
const OPERATIONS_PER_CHECK: i32 = 10_000;

/// Runs queries.
pub(super) struct Reader {
    slices: Arc<Slices>,
    permits: Arc<Semaphore>,
}

/// One query's view of the store: the slices of one moment, and the time that is left.
pub(super) struct Session {
    slices: Arc<Vec<Arc<Slice>>>,
    open: HashMap<u64, Connection>,
    deadline: Instant,
}

impl Reader {
    pub(super) fn new(slices: Arc<Slices>) -> Self {
        Self { slices, permits: Arc::new(Semaphore::new(QUERIES_AT_ONCE)) }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut Session) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(TIME_LIMIT, permit).await;
        let Ok(Ok(permit)) = permit else { return Err(ReadError::Busy) };
        let slices = Arc::clone(&self.slices);
        let answer = tokio::task::spawn_blocking(move || {
            // Held here, not by the caller: a caller that went away does not free the thread.
            let _permit = permit;
            let deadline = Instant::now() + TIME_LIMIT;
            query(&mut Session { slices: slices.snapshot(), open: HashMap::new(), deadline })
        });
        answer.await.unwrap_or_else(|error| Err(ReadError::Failed { message: error.to_string() }))
    }
}

impl Session {
    /// The slices, oldest first.
    pub(super) fn slices(&self) -> Arc<Vec<Arc<Slice>>> {
        Arc::clone(&self.slices)
    }

    /// Asks one slice; `None` when it is gone or damaged, which must not spoil the others'
    /// answers.
    pub(super) fn ask<T>(
        &mut self,
        slice: &Slice,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, ReadError> {
        if slice.is_damaged() {
            return Ok(None);
        }
        if Instant::now() >= self.deadline {
            return Err(ReadError::TooSlow { limit: TIME_LIMIT });
        }
        match self.connection(slice).and_then(question) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_corruption(&error) => {
                slice.mark_damaged(&error);
                Ok(None)
            }
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => {
                    Err(ReadError::TooSlow { limit: TIME_LIMIT })
                }
                // Retention deleted it after the snapshot was taken.
                Some(ErrorCode::CannotOpen) if !slice.path.exists() => Ok(None),
                _ => Err(ReadError::Failed { message: error.to_string() }),
            },
        }
    }

    fn connection(&mut self, slice: &Slice) -> rusqlite::Result<&Connection> {
        use std::collections::hash_map::Entry;
        match self.open.entry(slice.number) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(vacant) => Ok(vacant.insert(connect(slice, self.deadline)?)),
        }
    }
}

fn connect(slice: &Slice, deadline: Instant) -> rusqlite::Result<Connection> {
    let mut uri = OsString::from("file:");
    for part in slice.path.components() {
        use std::path::Component;
        match part {
            Component::RootDir => uri.push("/"),
            other => {
                let encoded = percent_encode(other.as_os_str().as_bytes(), NON_ALPHANUMERIC);
                uri.push(encoded.to_string());
                uri.push("/");
            }
        }
    }
    let uri = uri.to_string_lossy();
    // A sealed file never changes: no locks, and no files of SQLite's beside it.
    let options = if slice.is_sealed() { "?immutable=1" } else { "" };
    let uri = format!("{}{options}", uri.trim_end_matches('/'));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(TIME_LIMIT)?;
    connection.progress_handler(OPERATIONS_PER_CHECK, Some(move || Instant::now() >= deadline))?;
    Ok(connection)
}

//! The tables of a slice, and their version.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// The version of the tables below, kept in every slice as `user_version`. It goes up with every
/// change; older slices stay readable until retention has deleted the last of them.
pub(super) const VERSION: i32 = 2;

/// The oldest version that can still be read: without the tables of metrics, else the same.
const OLDEST: i32 = 1;

/// Times are nanoseconds since 1970, ids are bytes, JSON objects have sorted keys.
const TABLES: &str = "
    CREATE TABLE stream (
        id INTEGER PRIMARY KEY,
        labels TEXT NOT NULL,     -- the stream's labels, a JSON object
        metadata TEXT NOT NULL,   -- what else its resource says, a JSON object
        UNIQUE (labels, metadata)
    );
    CREATE TABLE line (
        id INTEGER PRIMARY KEY,   -- in the order of arrival
        time INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        severity INTEGER NOT NULL,
        trace_id BLOB,
        span_id BLOB,
        body TEXT NOT NULL,
        metadata TEXT             -- the record's structured metadata, a JSON object
    );
    CREATE INDEX line_time ON line (time);
    CREATE INDEX line_trace ON line (trace_id) WHERE trace_id IS NOT NULL;
    CREATE TABLE origin (
        id INTEGER PRIMARY KEY,
        data BLOB NOT NULL UNIQUE -- an OTLP ResourceSpans with one scope and no spans
    );
    CREATE TABLE span (
        id INTEGER PRIMARY KEY,
        trace_id BLOB NOT NULL,
        parent_id BLOB,
        service TEXT NOT NULL,
        name TEXT NOT NULL,
        kind INTEGER NOT NULL,
        start INTEGER NOT NULL,
        duration INTEGER NOT NULL,
        status INTEGER NOT NULL,
        origin INTEGER NOT NULL,
        data BLOB NOT NULL        -- the OTLP Span
    );
    CREATE INDEX span_trace ON span (trace_id);
    CREATE INDEX span_start ON span (start);
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,       -- the family's, without what its samples append
        kind TEXT NOT NULL,       -- counter, gauge, histogram or summary
        labels TEXT NOT NULL,     -- a JSON object
        scope TEXT NOT NULL,      -- the library that made it
        help TEXT NOT NULL,
        UNIQUE (name, kind, labels, scope)
    );
    CREATE TABLE bounds (
        id INTEGER PRIMARY KEY,
        data BLOB NOT NULL UNIQUE -- a histogram's upper bounds or a summary's quantiles: doubles, little-endian
    );
    CREATE TABLE point (
        series INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value REAL,               -- a number, or the sum of observations; NULL where there is none
        bounds INTEGER,
        data BLOB,                -- a histogram's counts, each bucket's own, or a summary's count and values: varints, doubles
        PRIMARY KEY (series, time)
    ) WITHOUT ROWID;
    CREATE TABLE example (
        series INTEGER NOT NULL,
        time INTEGER NOT NULL,
        value REAL NOT NULL,
        labels TEXT NOT NULL,     -- a JSON object: trace_id, span_id and others
        PRIMARY KEY (series, time, value)
    ) WITHOUT ROWID;
";

/// How long the writer waits for a lock: readers hold none for long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes a new slice.
pub(super) fn create(path: &Path, slice_bytes: u64) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    configure(&connection, slice_bytes)?;
    connection
        .execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    Ok(connection)
}

/// What an existing file turns out to be.
pub(super) enum Opened {
    /// A slice that can be read and written.
    Slice(Connection),
    /// A slice of an older version: it is read, and not written on.
    Older(Connection),
    /// A file without tables: its making was interrupted.
    Unfinished,
    /// A slice of a version that this program does not know.
    Foreign(i32),
}

/// Opens a slice for writing.
pub(super) fn open(path: &Path, slice_bytes: u64) -> rusqlite::Result<Opened> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection, slice_bytes)?;
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match version {
        VERSION => Opened::Slice(connection),
        OLDEST..VERSION => Opened::Older(connection),
        0 if tables == 0 => Opened::Unfinished,
        foreign => Opened::Foreign(foreign),
    })
}

fn configure(connection: &Connection, slice_bytes: u64) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A batch is acknowledged when it is committed, so the commit must survive a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The log is copied back well before it is as large as the slice that it belongs to.
    let pages = i64::try_from(slice_bytes / 8 / 4096).unwrap_or(i64::MAX).clamp(16, 1000);
    connection.pragma_update(None, "wal_autocheckpoint", pages)?;
    connection.pragma_update(None, "journal_size_limit", pages * 4096)?;
    Ok(())
}

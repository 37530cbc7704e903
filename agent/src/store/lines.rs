//! Questions about lines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::error::ReadError;
use super::read::Session;
use super::slice::Slice;
use crate::record::{SpanId, TraceId};

/// An answer's bodies may take this much; a page or a client wants less.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// A label's values beyond this many are left out.
const MAX_LABEL_VALUES: usize = 10_000;

/// Which lines, and in which order.
#[derive(Debug, Clone)]
pub struct LineQuery {
    /// Labels that a line's stream must have; an empty value means that it must lack the label.
    pub labels: Vec<(String, String)>,
    /// Texts that a line must contain, all of them.
    pub contains: Vec<Needle>,
    /// The trace that a line must belong to.
    pub trace_id: Option<TraceId>,
    /// The span that a line must belong to.
    pub span_id: Option<SpanId>,
    /// The earliest time, in nanoseconds since 1970.
    pub start_unix_nano: i64,
    /// The time before which a line was written, in nanoseconds since 1970.
    pub end_unix_nano: i64,
    /// The most lines to answer.
    pub limit: usize,
    /// Newest or oldest first.
    pub direction: Direction,
    /// Only lines older than this one.
    pub before: Option<LineKey>,
}

impl Default for LineQuery {
    /// The hundred newest lines of all.
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            contains: Vec::new(),
            trace_id: None,
            span_id: None,
            start_unix_nano: 0,
            end_unix_nano: i64::MAX,
            limit: 100,
            direction: Direction::Backward,
            before: None,
        }
    }
}

/// A text to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needle {
    /// The text.
    pub text: String,
    /// Whether `A` and `a` are the same; ASCII letters only.
    pub ignore_case: bool,
}

/// The order of lines in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Newest first.
    Backward,
    /// Oldest first.
    Forward,
}

/// A line's place among all lines; ordered by time, then by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    /// When it was written, in nanoseconds since 1970.
    pub time_unix_nano: i64,
    /// The number of its slice.
    pub slice: u64,
    /// Its row there.
    pub row: i64,
}

/// A stored line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place and time.
    pub key: LineKey,
    /// OTLP's severity number; 0 where nobody said.
    pub severity_number: i32,
    /// Its text.
    pub body: String,
    /// The trace that was active.
    pub trace_id: Option<TraceId>,
    /// The span that was active.
    pub span_id: Option<SpanId>,
    /// Its stream's labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// What else is known of it, but for ids and level.
    pub metadata: BTreeMap<String, String>,
}

impl Line {
    /// The level, in the words in which Loki detects it.
    pub fn level(&self) -> &'static str {
        match self.severity_number {
            1..=4 => "trace",
            5..=8 => "debug",
            9..=12 => "info",
            13..=16 => "warn",
            17..=20 => "error",
            21..=24 => "fatal",
            _ => "unknown",
        }
    }
}

struct Stream {
    labels: Arc<BTreeMap<String, String>>,
    metadata: BTreeMap<String, String>,
}

pub(super) fn query(session: &mut Session, query: &LineQuery) -> Result<Vec<Line>, ReadError> {
    let slices = session.slices();
    let mut relevant: Vec<_> = slices
        .iter()
        .filter(|slice| slice.lines.overlaps(query.start_unix_nano, query.end_unix_nano))
        .collect();
    // The slice that most likely has the first lines of the answer goes first.
    match query.direction {
        Direction::Backward => relevant.sort_by_key(|slice| Reverse(slice.lines.latest())),
        Direction::Forward => relevant.sort_by_key(|slice| slice.lines.earliest()),
    }
    let mut found = Vec::new();
    for slice in relevant {
        if is_complete(&found, query, slice) {
            break;
        }
        if let Some(lines) = session.ask(slice, |connection| ask(connection, slice, query))? {
            found.extend(lines);
            match query.direction {
                Direction::Backward => found.sort_by_key(|line: &Line| Reverse(line.key)),
                Direction::Forward => found.sort_by_key(|line: &Line| line.key),
            }
            found.truncate(query.limit);
            if found.iter().map(|line| line.body.len()).sum::<usize>() > MAX_ANSWER_BYTES {
                return Err(ReadError::TooLarge { limit_bytes: MAX_ANSWER_BYTES });
            }
        }
    }
    Ok(found)
}

/// Whether nothing in `slice` (and thus in no later one) could come before what is found.
fn is_complete(found: &[Line], query: &LineQuery, slice: &Slice) -> bool {
    let Some(last) = found.last().filter(|_| found.len() >= query.limit) else { return false };
    match query.direction {
        Direction::Backward => slice.lines.latest() < Some(last.key.time_unix_nano),
        Direction::Forward => slice.lines.earliest() > Some(last.key.time_unix_nano),
    }
}

fn ask(connection: &Connection, slice: &Slice, query: &LineQuery) -> rusqlite::Result<Vec<Line>> {
    let (sql, values) = statement(slice, query);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut streams = HashMap::new();
    let mut lines = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let line = line(connection, slice, &mut streams, row)?;
        bytes += line.body.len();
        lines.push(line);
        // One more than is allowed, so that the caller sees that it is too much.
        if bytes > MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(lines)
}

fn statement(slice: &Slice, query: &LineQuery) -> (String, Vec<Value>) {
    // By its trace a line is found at once; the `+` keeps SQLite from going by time instead.
    let time = if query.trace_id.is_some() { "+time" } else { "time" };
    let mut sql = format!(
        "SELECT id, time, stream, severity, trace_id, span_id, body, metadata FROM line
         WHERE {time} >= ? AND {time} < ?"
    );
    let mut values = vec![query.start_unix_nano.into(), query.end_unix_nano.into()];
    for (name, value) in &query.labels {
        sql += " AND stream IN
            (SELECT id FROM stream WHERE coalesce(json_extract(labels, ?), '') = ?)";
        values.push(json_path(name).into());
        values.push(value.clone().into());
    }
    for needle in &query.contains {
        sql += match needle.ignore_case {
            true => " AND instr(lower(body), lower(?)) > 0",
            false => " AND instr(body, ?) > 0",
        };
        values.push(needle.text.clone().into());
    }
    if let Some(id) = query.trace_id {
        sql += " AND trace_id = ?";
        values.push(id.as_bytes().to_vec().into());
    }
    if let Some(id) = query.span_id {
        sql += " AND span_id = ?";
        values.push(id.as_bytes().to_vec().into());
    }
    if let Some(key) = query.before {
        let row = match slice.number.cmp(&key.slice) {
            std::cmp::Ordering::Less => i64::MAX,
            std::cmp::Ordering::Equal => key.row,
            std::cmp::Ordering::Greater => i64::MIN,
        };
        sql += &format!(" AND {time} <= ? AND ({time} < ? OR id < ?)");
        values.extend([key.time_unix_nano.into(), key.time_unix_nano.into(), row.into()]);
    }
    sql += match query.direction {
        Direction::Backward => " ORDER BY time DESC, id DESC LIMIT ?",
        Direction::Forward => " ORDER BY time, id LIMIT ?",
    };
    values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
    (sql, values)
}

fn line(
    connection: &Connection,
    slice: &Slice,
    streams: &mut HashMap<i64, Stream>,
    row: &Row<'_>,
) -> rusqlite::Result<Line> {
    let stream: i64 = row.get(2)?;
    let stream = match streams.entry(stream) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(new) => {
            new.insert(read_stream(connection, stream)?)
        }
    };
    let mut metadata = stream.metadata.clone();
    metadata.extend(object(row.get_ref(7)?.as_str_or_null()?.unwrap_or_default()));
    Ok(Line {
        key: LineKey { time_unix_nano: row.get(1)?, slice: slice.number, row: row.get(0)? },
        severity_number: row.get(3)?,
        body: row.get(6)?,
        trace_id: row.get_ref(4)?.as_blob_or_null()?.and_then(TraceId::from_bytes),
        span_id: row.get_ref(5)?.as_blob_or_null()?.and_then(SpanId::from_bytes),
        labels: Arc::clone(&stream.labels),
        metadata,
    })
}

fn read_stream(connection: &Connection, id: i64) -> rusqlite::Result<Stream> {
    connection.prepare_cached("SELECT labels, metadata FROM stream WHERE id = ?")?.query_row(
        [id],
        |row| {
            let labels = Arc::new(object(row.get_ref(0)?.as_str()?));
            Ok(Stream { labels, metadata: object(row.get_ref(1)?.as_str()?) })
        },
    )
}

/// A JSON object as the writer made it; anything else counts as empty.
fn object(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_default()
}

pub(super) fn label_names(
    session: &mut Session,
    start_unix_nano: i64,
    end_unix_nano: i64,
) -> Result<Vec<String>, ReadError> {
    let sql = "SELECT DISTINCT key FROM stream, json_each(stream.labels) WHERE ?1 IS NULL LIMIT ?2";
    distinct(session, start_unix_nano, end_unix_nano, sql, None)
}

pub(super) fn label_values(
    session: &mut Session,
    name: &str,
    start_unix_nano: i64,
    end_unix_nano: i64,
) -> Result<Vec<String>, ReadError> {
    let sql = "SELECT DISTINCT json_extract(labels, ?1) AS value FROM stream
               WHERE value IS NOT NULL LIMIT ?2";
    distinct(session, start_unix_nano, end_unix_nano, sql, Some(json_path(name)))
}

fn distinct(
    session: &mut Session,
    start_unix_nano: i64,
    end_unix_nano: i64,
    sql: &str,
    path: Option<String>,
) -> Result<Vec<String>, ReadError> {
    let mut all = BTreeSet::new();
    for slice in session.slices().iter() {
        if !slice.lines.overlaps(start_unix_nano, end_unix_nano) {
            continue;
        }
        let values = session.ask(slice, |connection| {
            connection
                .prepare(sql)?
                .query_map((&path, MAX_LABEL_VALUES as i64), |row| row.get::<_, String>(0))?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        all.extend(values.into_iter().flatten());
    }
    Ok(all.into_iter().take(MAX_LABEL_VALUES).collect())
}

/// SQLite's path to a member. A name with a quote would end the path early; no label has one.
fn json_path(name: &str) -> String {
    format!("$.\"{}\"", name.replace('"', ""))
}

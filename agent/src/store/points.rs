//! Questions about metrics.
//!
//! A histogram is one row for each point; here it becomes the samples `_bucket`, `_sum` and `_count` that a reader of
//! Prometheus asks for, a summary likewise.

mod parts;

use std::collections::{BTreeMap, HashMap, HashSet};

use regex::Regex;
use rusqlite::{Connection, Row, params};

use self::parts::{Part, bounds_of};
use super::error::ReadError;
use super::read::Session;
use crate::samples::{Family, Kind, names};

/// Samples of one answer.
const MAX_SAMPLES: usize = 1_000_000;
const SAMPLE_BYTES: usize = size_of::<Sample>();

/// Series of one answer.
const MAX_SERIES: usize = 20_000;

/// Examples of one answer.
const MAX_EXAMPLES: usize = 20_000;

/// The label that holds a sample's name.
const NAME: &str = "__name__";

type Labels = BTreeMap<String, String>;

/// Values by their times.
type Samples = BTreeMap<i64, Option<f64>>;

/// Which series, over what time.
#[derive(Debug, Clone, Default)]
pub struct SeriesQuery {
    /// What their labels must be, the name as `__name__` among them; all of them.
    pub matchers: Vec<Matcher>,
    /// The earliest time, in nanoseconds since 1970.
    pub start_unix_nano: i64,
    /// The latest time, in nanoseconds since 1970.
    pub end_unix_nano: i64,
}

/// What a label must be; a label that is missing is empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How it is compared.
    pub operator: Operator,
}

/// How a label is compared.
#[derive(Debug, Clone)]
pub enum Operator {
    /// It is this.
    Equal(String),
    /// It is anything else.
    NotEqual(String),
    /// All of it matches.
    Matches(Regex),
    /// All of it does not match.
    MatchesNot(Regex),
}

/// A series, without its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its labels, the name as `__name__` among them.
    pub labels: Labels,
    /// The family it belongs to: with it, a counter's name ends in `_total`.
    pub family: String,
    /// What it is.
    pub kind: Kind,
    /// What it counts.
    pub help: String,
}

/// A series with its samples.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSeries {
    /// Which.
    pub series: Stored,
    /// Oldest first, each time once.
    pub samples: Vec<Sample>,
}

/// Where a series stood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in nanoseconds since 1970.
    pub time_unix_nano: i64,
    /// Where; `None` where its sender said that there is none from then on.
    pub value: Option<f64>,
}

/// An observation that leads to a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredExample {
    /// `trace_id`, `span_id` and others.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When, in nanoseconds since 1970.
    pub time_unix_nano: i64,
}

impl Matcher {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).map_or("", String::as_str);
        match &self.operator {
            Operator::Equal(text) => value == text,
            Operator::NotEqual(text) => value != text,
            Operator::Matches(regex) => regex.is_match(value),
            Operator::MatchesNot(regex) => !regex.is_match(value),
        }
    }
}

/// A row of the table `series`.
struct SeriesRow {
    id: i64,
    family: Family,
    labels: Labels,
}

/// Samples by series, in the order of their labels.
#[derive(Default)]
struct Found {
    series: BTreeMap<Labels, (Stored, Samples)>,
    samples: usize,
}

pub(super) fn series(
    session: &mut Session,
    query: &SeriesQuery,
) -> Result<Vec<StoredSeries>, ReadError> {
    let mut found = Found::default();
    for slice in session.slices().iter() {
        if !slice.points.overlaps(query.start_unix_nano, query.end_unix_nano.saturating_add(1)) {
            continue;
        }
        let complete = session.ask(slice, |connection| {
            let mut bounds = HashMap::new();
            for row in rows(connection, query)? {
                if !samples_of(connection, query, &row, &mut bounds, &mut found)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if complete == Some(false) {
            return Err(ReadError::TooLarge { limit_bytes: MAX_SAMPLES * SAMPLE_BYTES });
        }
    }
    let with_samples = |(series, samples): (Stored, Samples)| StoredSeries {
        series,
        samples: samples
            .into_iter()
            .map(|(time_unix_nano, value)| Sample { time_unix_nano, value })
            .collect(),
    };
    Ok(found.series.into_values().map(with_samples).collect())
}

pub(super) fn names(session: &mut Session, query: &SeriesQuery) -> Result<Vec<Stored>, ReadError> {
    let mut found: BTreeMap<Labels, Stored> = BTreeMap::new();
    for slice in session.slices().iter() {
        if !slice.points.overlaps(query.start_unix_nano, query.end_unix_nano.saturating_add(1)) {
            continue;
        }
        let of_slice = session.ask(slice, |connection| {
            let mut of_slice = Vec::new();
            for row in rows(connection, query)? {
                if of_slice.len() > MAX_SERIES {
                    break;
                }
                names_of(connection, query, &row, &mut of_slice)?;
            }
            Ok(of_slice)
        })?;
        for stored in of_slice.into_iter().flatten() {
            found.insert(stored.labels.clone(), stored);
        }
        if found.len() > MAX_SERIES {
            return Err(too_many_series());
        }
    }
    Ok(found.into_values().collect())
}

pub(super) fn examples(
    session: &mut Session,
    query: &SeriesQuery,
) -> Result<Vec<(Stored, Vec<StoredExample>)>, ReadError> {
    let mut found: BTreeMap<Labels, (Stored, Vec<StoredExample>)> = BTreeMap::new();
    let mut count = 0;
    for slice in session.slices().iter() {
        // An example may be older than the point that carries it, by an interval of its sender.
        if !slice.points.overlaps(query.start_unix_nano, i64::MAX) {
            continue;
        }
        let of_slice = session.ask(slice, |connection| {
            let mut of_slice = Vec::new();
            for row in rows(connection, query)? {
                let room = MAX_EXAMPLES - of_slice.len();
                of_slice.extend(examples_of(connection, query, &row, room)?);
            }
            Ok(of_slice)
        })?;
        for (stored, example) in of_slice.into_iter().flatten() {
            count += 1;
            if count > MAX_EXAMPLES {
                break;
            }
            let labels = stored.labels.clone();
            found.entry(labels).or_insert_with(|| (stored, Vec::new())).1.push(example);
        }
    }
    let mut found: Vec<_> = found.into_values().collect();
    for (_, examples) in &mut found {
        examples.sort_by_key(|example| example.time_unix_nano);
    }
    Ok(found)
}

fn too_many_series() -> ReadError {
    ReadError::TooLarge { limit_bytes: MAX_SERIES * 1024 }
}

/// The rows of a slice that may have what is asked for.
fn rows(connection: &Connection, query: &SeriesQuery) -> rusqlite::Result<Vec<SeriesRow>> {
    let name = query.matchers.iter().find_map(|matcher| match &matcher.operator {
        Operator::Equal(text) if matcher.name == NAME => Some(text.as_str()),
        _ => None,
    });
    let read = |row: &Row<'_>| {
        let kind = Kind::from_word(row.get_ref(2)?.as_str()?).unwrap_or(Kind::Gauge);
        let series = SeriesRow {
            id: row.get(0)?,
            family: Family { name: row.get(1)?, kind, help: row.get(4)? },
            labels: serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or_default(),
        };
        Ok((series, row.get(5)?))
    };
    let columns = "SELECT id, name, kind, labels, help, scope FROM series";
    let rows: Vec<(SeriesRow, String)> = match name {
        None => connection
            .prepare(&format!("{columns} ORDER BY id"))?
            .query_map([], read)?
            .collect::<rusqlite::Result<_>>()?,
        Some(name) => {
            let without = |suffix| name.strip_suffix(suffix).unwrap_or(name);
            let candidates =
                [name, without("_total"), without("_bucket"), without("_sum"), without("_count")];
            connection
                .prepare(&format!("{columns} WHERE name IN (?1, ?2, ?3, ?4, ?5) ORDER BY id"))?
                .query_map(candidates, read)?
                .collect::<rusqlite::Result<_>>()?
        }
    };
    // Two libraries' series: the first keeps its labels, the others say whose they are.
    let mut seen = HashSet::new();
    let told_apart = rows.into_iter().map(|(mut row, scope)| {
        let is_first = seen.insert((row.family.name.clone(), row.labels.clone()));
        if !is_first && !scope.is_empty() {
            row.labels.insert("otel_scope_name".to_owned(), scope);
        }
        row
    });
    Ok(told_apart.collect())
}

/// One part of a row under its full name.
fn stored(row: &SeriesRow, part: Part, extra: Option<(&str, String)>) -> Stored {
    let family = row.family.sample_name();
    let mut labels = row.labels.clone();
    labels.insert(NAME.to_owned(), format!("{family}{}", part.suffix()));
    if let Some((name, value)) = extra {
        labels.insert(name.to_owned(), value);
    }
    Stored { labels, family, kind: row.family.kind, help: row.family.help.clone() }
}

/// The parts of a row that may match; labels that only its points tell are left for later.
fn parts_of(row: &SeriesRow, query: &SeriesQuery) -> Vec<Part> {
    let kind = row.family.kind;
    let may_match = |part: &Part| {
        let stored = stored(row, *part, None);
        let extra = part.extra(kind);
        let known = query.matchers.iter().filter(|matcher| Some(matcher.name.as_str()) != extra);
        known.into_iter().all(|matcher| matcher.matches(&stored.labels))
    };
    Part::of(kind).iter().copied().filter(may_match).collect()
}

fn matches_all(query: &SeriesQuery, labels: &Labels) -> bool {
    query.matchers.iter().all(|matcher| matcher.matches(labels))
}

/// Reads a row's points into `found`; false when there are too many.
fn samples_of(
    connection: &Connection,
    query: &SeriesQuery,
    row: &SeriesRow,
    known_bounds: &mut HashMap<i64, Vec<f64>>,
    found: &mut Found,
) -> rusqlite::Result<bool> {
    let parts = parts_of(row, query);
    if parts.is_empty() {
        return Ok(true);
    }
    let mut statement = connection.prepare_cached(
        "SELECT time, value, bounds, data FROM point WHERE series = ? AND time >= ? AND time <= ?
         ORDER BY time",
    )?;
    let mut points =
        statement.query(params![row.id, query.start_unix_nano, query.end_unix_nano])?;
    // By part and bound, so that labels are made and compared once and not for each point.
    let mut by_part: HashMap<(usize, u64), Option<StoredSeries>> = HashMap::new();
    while let Some(point) = points.next()? {
        let time_unix_nano: i64 = point.get(0)?;
        let value: Option<f64> = point.get(1)?;
        let bounds = match point.get::<_, Option<i64>>(2)? {
            Some(id) => bounds_of(connection, known_bounds, id)?,
            None => &[],
        };
        let data = point.get_ref(3)?.as_blob_or_null()?;
        for (index, part) in parts.iter().enumerate() {
            for (extra, value) in parts::samples(*part, row.family.kind, value, bounds, data) {
                let key = (index, extra.map_or(0, f64::to_bits));
                let of_part = by_part.entry(key).or_insert_with(|| {
                    let label = extra.zip(part.extra(row.family.kind));
                    let label = label.map(|(bound, name)| (name, names::bound(bound)));
                    let stored = stored(row, *part, label);
                    matches_all(query, &stored.labels)
                        .then(|| StoredSeries { series: stored, samples: Vec::new() })
                });
                if let Some(of_part) = of_part {
                    of_part.samples.push(Sample { time_unix_nano, value });
                    found.samples += 1;
                }
            }
        }
        if found.samples > MAX_SAMPLES {
            return Ok(false);
        }
    }
    for StoredSeries { series, samples } in by_part.into_values().flatten() {
        let labels = series.labels.clone();
        let of_series = found.series.entry(labels).or_insert_with(|| (series, BTreeMap::new()));
        of_series.1.extend(samples.into_iter().map(|s| (s.time_unix_nano, s.value)));
    }
    Ok(found.series.len() <= MAX_SERIES)
}

/// The series of a row, by its newest point in the time asked for.
fn names_of(
    connection: &Connection,
    query: &SeriesQuery,
    row: &SeriesRow,
    names_found: &mut Vec<Stored>,
) -> rusqlite::Result<()> {
    let parts = parts_of(row, query);
    if parts.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "SELECT value, bounds, data FROM point WHERE series = ? AND time >= ? AND time <= ?
         ORDER BY time DESC LIMIT 1",
    )?;
    let mut points =
        statement.query(params![row.id, query.start_unix_nano, query.end_unix_nano])?;
    let Some(point) = points.next()? else { return Ok(()) };
    let mut known = HashMap::new();
    let value: Option<f64> = point.get(0)?;
    let bounds = match point.get::<_, Option<i64>>(1)? {
        Some(id) => bounds_of(connection, &mut known, id)?,
        None => &[],
    };
    let data = point.get_ref(2)?.as_blob_or_null()?;
    for part in parts {
        for (extra, _) in parts::samples(part, row.family.kind, value, bounds, data) {
            let label = extra.zip(part.extra(row.family.kind));
            let label = label.map(|(bound, name)| (name, names::bound(bound)));
            let stored = stored(row, part, label);
            if matches_all(query, &stored.labels) {
                names_found.push(stored);
            }
        }
    }
    Ok(())
}

/// The examples of a row: a counter's, or a histogram's by the buckets in which they lie.
fn examples_of(
    connection: &Connection,
    query: &SeriesQuery,
    row: &SeriesRow,
    limit: usize,
) -> rusqlite::Result<Vec<(Stored, StoredExample)>> {
    let part = match row.family.kind {
        Kind::Histogram => Part::Bucket,
        _ => Part::Own,
    };
    if !parts_of(row, query).contains(&part) {
        return Ok(Vec::new());
    }
    let mut known = HashMap::new();
    let bounds = if part == Part::Bucket {
        let id = connection
            .prepare_cached(
                "SELECT bounds FROM point WHERE series = ? AND bounds IS NOT NULL
                 ORDER BY time DESC LIMIT 1",
            )?
            .query_map([row.id], |row| row.get(0))?
            .next()
            .transpose()?;
        match id {
            Some(id) => bounds_of(connection, &mut known, id)?,
            None => return Ok(Vec::new()),
        }
    } else {
        &[]
    };
    let read = |row: &Row<'_>| {
        Ok(StoredExample {
            time_unix_nano: row.get(0)?,
            value: row.get(1)?,
            labels: serde_json::from_str(row.get_ref(2)?.as_str()?).unwrap_or_default(),
        })
    };
    let examples = connection
        .prepare_cached(
            "SELECT time, value, labels FROM example WHERE series = ? AND time >= ? AND time <= ?
             ORDER BY time DESC LIMIT ?",
        )?
        .query_map(params![row.id, query.start_unix_nano, query.end_unix_nano, limit as i64], read)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let with_series = examples.into_iter().map(|example| {
        let bucket = bounds.partition_point(|bound| *bound < example.value);
        let bound = bounds.get(bucket).copied().unwrap_or(f64::INFINITY);
        let label = (part == Part::Bucket).then(|| ("le", names::bound(bound)));
        (stored(row, part, label), example)
    });
    Ok(with_series.filter(|(stored, _)| matches_all(query, &stored.labels)).collect())
}

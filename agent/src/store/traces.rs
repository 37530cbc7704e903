//! Questions about traces.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::error::ReadError;
use super::read::Session;
use crate::record::{SpanBatch, TraceId};

/// A trace's spans beyond this many are left out.
const MAX_SPANS: usize = 10_000;

/// A search looks at this many times as many traces as it may answer, because what it asks of a
/// whole trace (its duration) is known only after its spans are read.
const CANDIDATES_PER_ANSWER: usize = 10;

/// All spans of a trace, from all services.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The spans, by resource and scope, each once.
    pub spans: SpanBatch,
    /// Whether there are more spans than an answer may hold.
    pub truncated: bool,
}

/// Which traces.
#[derive(Debug, Clone)]
pub struct SearchQuery {
    /// The service of one of its spans.
    pub service: Option<String>,
    /// The name of one of its spans; of the same span as `service`.
    pub name: Option<String>,
    /// The shortest duration, in nanoseconds.
    pub min_duration_nanos: Option<i64>,
    /// The longest duration, in nanoseconds.
    pub max_duration_nanos: Option<i64>,
    /// The earliest start of a span, in nanoseconds since 1970.
    pub start_unix_nano: i64,
    /// The time before which a span started, in nanoseconds since 1970.
    pub end_unix_nano: i64,
    /// The most traces to answer.
    pub limit: usize,
}

/// A trace in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id.
    pub id: TraceId,
    /// The service and name of the span without a parent; `None` when it has not come (yet).
    pub root: Option<(String, String)>,
    /// When its first span started, in nanoseconds since 1970.
    pub start_unix_nano: i64,
    /// From the first start to the last end, in nanoseconds.
    pub duration_nanos: i64,
}

pub(super) fn trace(session: &mut Session, id: TraceId) -> Result<Option<Trace>, ReadError> {
    // Spans of one origin may be spread over slices.
    let mut origins: Vec<ResourceSpans> = Vec::new();
    let mut origin_index: HashMap<Vec<u8>, usize> = HashMap::new();
    // A sender that got no answer sends again.
    let mut seen = HashSet::new();
    let mut truncated = false;
    for slice in session.slices().iter() {
        let rows = session.ask(slice, |connection| spans_of(connection, id))?;
        for (origin, span) in rows.into_iter().flatten() {
            let Ok(span) = Span::decode(span.as_slice()) else { continue };
            if !seen.insert((span.span_id.clone(), span.kind)) {
                continue;
            }
            if seen.len() > MAX_SPANS {
                truncated = true;
                break;
            }
            let index = *origin_index.entry(origin).or_insert_with_key(|data| {
                origins.push(ResourceSpans::decode(data.as_slice()).unwrap_or_default());
                origins.len() - 1
            });
            if let Some(scope) = origins[index].scope_spans.first_mut() {
                scope.spans.push(span);
            }
        }
    }
    let spans = SpanBatch { resource_spans: origins };
    Ok((spans.span_count() > 0).then_some(Trace { spans, truncated }))
}

fn spans_of(connection: &Connection, id: TraceId) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    connection
        .prepare(
            "SELECT origin.data, span.data FROM span JOIN origin ON origin.id = span.origin
             WHERE trace_id = ? ORDER BY span.id LIMIT ?",
        )?
        .query_map(params![id.as_bytes(), MAX_SPANS as i64 + 1], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect()
}

pub(super) fn search(
    session: &mut Session,
    query: &SearchQuery,
) -> Result<Vec<TraceSummary>, ReadError> {
    let mut answer = Vec::new();
    for id in candidates(session, query)? {
        if answer.len() >= query.limit {
            break;
        }
        let Some(summary) = summarize(session, id)? else { continue };
        let duration = summary.duration_nanos;
        if query.min_duration_nanos.is_none_or(|min| duration >= min)
            && query.max_duration_nanos.is_none_or(|max| duration <= max)
        {
            answer.push(summary);
        }
    }
    Ok(answer)
}

/// The traces that have a span as asked for, newest first.
fn candidates(session: &mut Session, query: &SearchQuery) -> Result<Vec<TraceId>, ReadError> {
    let mut sql =
        "SELECT trace_id, max(start) AS newest FROM span WHERE start >= ? AND start < ?".to_owned();
    let mut values: Vec<Value> = vec![query.start_unix_nano.into(), query.end_unix_nano.into()];
    for (column, value) in [("service", &query.service), ("name", &query.name)] {
        if let Some(value) = value {
            sql += &format!(" AND {column} = ?");
            values.push(value.clone().into());
        }
    }
    sql += " GROUP BY trace_id ORDER BY newest DESC LIMIT ?";
    let limit = query.limit.saturating_mul(CANDIDATES_PER_ANSWER);
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    let mut newest: BTreeMap<TraceId, i64> = BTreeMap::new();
    for slice in session.slices().iter().rev() {
        if !slice.spans.overlaps(query.start_unix_nano, query.end_unix_nano) {
            continue;
        }
        let rows = session.ask(slice, |connection| {
            connection
                .prepare(&sql)?
                .query_map(params_from_iter(&values), |row| {
                    Ok((TraceId::from_bytes(row.get_ref(0)?.as_blob()?), row.get(1)?))
                })?
                .collect::<rusqlite::Result<Vec<(Option<TraceId>, i64)>>>()
        })?;
        for (id, start) in rows.into_iter().flatten() {
            if let Some(id) = id {
                let known = newest.entry(id).or_insert(start);
                *known = start.max(*known);
            }
        }
    }
    let mut ids: Vec<_> = newest.into_iter().collect();
    ids.sort_by_key(|(_, start)| std::cmp::Reverse(*start));
    ids.truncate(limit);
    Ok(ids.into_iter().map(|(id, _)| id).collect())
}

fn summarize(session: &mut Session, id: TraceId) -> Result<Option<TraceSummary>, ReadError> {
    let (mut start, mut end, mut root) = (i64::MAX, i64::MIN, None);
    for slice in session.slices().iter() {
        let rows = session.ask(slice, |connection| {
            let times = connection
                .prepare_cached(
                    "SELECT min(start), max(start + duration) FROM span WHERE trace_id = ?",
                )?
                .query_row([id.as_bytes()], |row| {
                    Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
                })?;
            let root = connection
                .prepare_cached(
                    "SELECT service, name FROM span WHERE trace_id = ? AND parent_id IS NULL
                     ORDER BY start LIMIT 1",
                )?
                .query_map([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .next()
                .transpose()?;
            Ok((times, root))
        })?;
        if let Some(((Some(first), Some(last)), of_slice)) = rows {
            start = start.min(first);
            end = end.max(last);
            root = root.or(of_slice);
        }
    }
    let summary = TraceSummary {
        id,
        root,
        start_unix_nano: start,
        duration_nanos: end.saturating_sub(start),
    };
    Ok((start <= end).then_some(summary))
}

//! A batch, as rows of the newest slice.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::labels::{Pairs, record_metadata, resource_metadata, stream_labels};
use super::slice::Slice;
use crate::record::{Batch, Body, LogBatch, LogRecord, SpanBatch, find_text, value_text};

/// More streams or origins than this are looked up in the slice instead of in memory.
pub(super) const MAX_INTERNED: usize = 4096;

/// What a row takes beside its text or span, roughly: columns, indexes, page overhead.
const ROW_BYTES: u64 = 160;

/// Row ids of the streams and origins that a slice has already.
#[derive(Debug, Default)]
pub(super) struct Interned {
    streams: HashMap<(String, String), i64>,
    origins: HashMap<Vec<u8>, i64>,
    /// Of metrics: by name, kind, labels and scope.
    pub(super) series: HashMap<(String, &'static str, String, String), i64>,
    pub(super) bounds: HashMap<Vec<u8>, i64>,
}

impl Interned {
    /// Forgets everything: after a rollback, because the rows may be gone.
    pub(super) fn clear(&mut self) {
        self.streams.clear();
        self.origins.clear();
        self.series.clear();
        self.bounds.clear();
    }
}

/// Roughly how many bytes a batch adds to a slice.
pub(super) fn estimated_bytes(batch: &Batch) -> u64 {
    match batch {
        Batch::Logs(batches) => {
            batches.iter().flat_map(|batch| &batch.records).map(line_bytes).sum()
        }
        Batch::Spans(batch) => batch
            .resource_spans
            .iter()
            .map(|resource| resource.encoded_len() as u64)
            .sum::<u64>()
            .saturating_add(batch.span_count() as u64 * ROW_BYTES),
        Batch::Metrics(batch) => batch
            .resource_metrics
            .iter()
            .map(|resource| resource.encoded_len() as u64)
            .sum::<u64>()
            .saturating_add(batch.point_count() as u64 * ROW_BYTES),
    }
}

fn line_bytes(record: &LogRecord) -> u64 {
    let body = match &record.body {
        Body::Text(text) => text.as_str().len(),
        Body::Value(value) => value.encoded_len(),
    };
    let attributes: usize = record.attributes.iter().map(Message::encoded_len).sum();
    (body + attributes) as u64 + ROW_BYTES
}

/// Adds lines or spans to the slice that `connection` writes, inside the caller's transaction.
pub(super) fn insert(
    connection: &Connection,
    slice: &Slice,
    interned: &mut Interned,
    cluster: Option<&str>,
    batch: &Batch,
) -> rusqlite::Result<()> {
    match batch {
        Batch::Logs(batches) => batches
            .iter()
            .try_for_each(|batch| insert_lines(connection, slice, interned, cluster, batch)),
        Batch::Spans(batch) => insert_spans(connection, slice, interned, batch),
        // They are written by [`PointWriter`](super::insert_points::PointWriter), which remembers more.
        Batch::Metrics(_) => Ok(()),
    }
}

fn insert_lines(
    connection: &Connection,
    slice: &Slice,
    interned: &mut Interned,
    cluster: Option<&str>,
    batch: &LogBatch,
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        "INSERT INTO line (time, stream, severity, trace_id, span_id, body, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let of_resource = json(&resource_metadata(batch));
    let mut last: Option<(Pairs, i64)> = None;
    for record in &batch.records {
        let labels = stream_labels(&batch.resource, record, cluster);
        // A batch's lines nearly always belong to one stream.
        let stream = match &last {
            Some((same, stream)) if *same == labels => *stream,
            _ => stream_id(connection, interned, json(&labels), of_resource.clone())?,
        };
        last = Some((labels, stream));
        let time = clamp(match record.time_unix_nano {
            0 => record.observed_time_unix_nano,
            time => time,
        });
        let own = record_metadata(record);
        let written;
        let body = match &record.body {
            Body::Text(text) => text.as_str(),
            Body::Value(value) => {
                written = value_text(value);
                &written
            }
        };
        slice.lines.widen(time);
        add.execute(params![
            time,
            stream,
            record.severity_number,
            record.trace_id.as_ref().map(|id| id.as_bytes()),
            record.span_id.as_ref().map(|id| id.as_bytes()),
            body,
            (!own.is_empty()).then(|| json(&own)),
        ])?;
    }
    Ok(())
}

fn insert_spans(
    connection: &Connection,
    slice: &Slice,
    interned: &mut Interned,
    batch: &SpanBatch,
) -> rusqlite::Result<()> {
    for resource_spans in &batch.resource_spans {
        let attributes = resource_spans.resource.as_ref().map_or(&[][..], |r| &r.attributes);
        let service = find_text(attributes, "service.name").unwrap_or_default();
        for scope_spans in &resource_spans.scope_spans {
            let origin = origin_id(connection, interned, origin_of(resource_spans, scope_spans))?;
            for span in &scope_spans.spans {
                insert_span(connection, slice, service, origin, span)?;
            }
        }
    }
    Ok(())
}

fn insert_span(
    connection: &Connection,
    slice: &Slice,
    service: &str,
    origin: i64,
    span: &Span,
) -> rusqlite::Result<()> {
    let mut add = connection.prepare_cached(
        "INSERT INTO span
         (trace_id, parent_id, service, name, kind, start, duration, status, origin, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let has_parent = span.parent_span_id.iter().any(|byte| *byte != 0);
    let start = clamp(span.start_time_unix_nano);
    slice.spans.widen(start);
    add.execute(params![
        span.trace_id,
        has_parent.then_some(&span.parent_span_id),
        service,
        span.name,
        span.kind,
        start,
        clamp(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)),
        span.status.as_ref().map_or(0, |status| status.code),
        origin,
        span.encode_to_vec(),
    ])?;
    Ok(())
}

/// Where spans come from, without the spans.
fn origin_of(resource: &ResourceSpans, scope: &ScopeSpans) -> Vec<u8> {
    ResourceSpans {
        resource: resource.resource.clone(),
        scope_spans: vec![ScopeSpans {
            scope: scope.scope.clone(),
            spans: Vec::new(),
            schema_url: scope.schema_url.clone(),
        }],
        schema_url: resource.schema_url.clone(),
    }
    .encode_to_vec()
}

fn stream_id(
    connection: &Connection,
    interned: &mut Interned,
    labels: String,
    metadata: String,
) -> rusqlite::Result<i64> {
    let key = (labels, metadata);
    if let Some(id) = interned.streams.get(&key) {
        return Ok(*id);
    }
    let found = connection
        .prepare_cached("SELECT id FROM stream WHERE labels = ?1 AND metadata = ?2")?
        .query_row(params![key.0, key.1], |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => connection
            .prepare_cached("INSERT INTO stream (labels, metadata) VALUES (?1, ?2)")?
            .insert(params![key.0, key.1])?,
    };
    if interned.streams.len() >= MAX_INTERNED {
        interned.streams.clear();
    }
    interned.streams.insert(key, id);
    Ok(id)
}

fn origin_id(
    connection: &Connection,
    interned: &mut Interned,
    data: Vec<u8>,
) -> rusqlite::Result<i64> {
    if let Some(id) = interned.origins.get(&data) {
        return Ok(*id);
    }
    let found = connection
        .prepare_cached("SELECT id FROM origin WHERE data = ?1")?
        .query_row([&data], |row| row.get(0))
        .optional()?;
    let id = match found {
        Some(id) => id,
        None => {
            connection.prepare_cached("INSERT INTO origin (data) VALUES (?1)")?.insert([&data])?
        }
    };
    if interned.origins.len() >= MAX_INTERNED {
        interned.origins.clear();
    }
    interned.origins.insert(data, id);
    Ok(id)
}

fn json(pairs: &Pairs) -> String {
    let object: serde_json::Value =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    object.to_string()
}

/// OTLP's times are unsigned, SQLite's integers are not; the year 2262 has to wait.
pub(super) fn clamp(unsigned: u64) -> i64 {
    i64::try_from(unsigned).unwrap_or(i64::MAX)
}

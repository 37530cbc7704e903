//! Loki's read API, a subset: `query_range` with `=` selectors and `|=`, `labels`, `label/{name}/values`.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::Problem;
use crate::store::{Direction, Line, Store, logql};

/// Lines in an answer, unless asked for otherwise.
const DEFAULT_LIMIT: usize = 100;
/// Loki's own bound.
const MAX_LIMIT: usize = 5_000;
/// What is looked at when no start is given: Loki's defaults.
const DEFAULT_LINES_RANGE_NANOS: i64 = 3_600_000_000_000;
const DEFAULT_LABELS_RANGE_NANOS: i64 = 6 * DEFAULT_LINES_RANGE_NANOS;
/// A number of so many digits or more is nanoseconds, a smaller one seconds; as in Loki.
const NANOSECOND_DIGITS: usize = 11;
/// Asks for structured metadata apart from the labels.
const ENCODING_FLAGS: &str = "x-loki-response-encoding-flags";
const CATEGORIZE_LABELS: &str = "categorize-labels";

pub(super) fn router() -> Router<Store> {
    Router::new()
        .route("/loki/api/v1/query_range", get(query_range))
        .route("/loki/api/v1/labels", get(labels))
        .route("/loki/api/v1/label/{name}/values", get(label_values))
}

#[derive(Debug, Deserialize)]
struct RangeParameters {
    query: Option<String>,
    start: Option<String>,
    end: Option<String>,
    since: Option<String>,
    limit: Option<String>,
    direction: Option<String>,
}

#[derive(Debug, Deserialize)]
struct LabelParameters {
    start: Option<String>,
    end: Option<String>,
    since: Option<String>,
}

#[derive(Serialize)]
struct Answer<D> {
    status: &'static str,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Streams {
    result_type: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    encoding_flags: Vec<&'static str>,
    result: Vec<Stream>,
    stats: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Stream {
    stream: BTreeMap<String, String>,
    values: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Plain(String, String),
    Categorized(String, String, Categories),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Categories {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    structured_metadata: BTreeMap<String, String>,
}

async fn query_range(
    State(store): State<Store>,
    Query(parameters): Query<RangeParameters>,
    headers: HeaderMap,
) -> Result<Json<Answer<Streams>>, Problem> {
    let text = parameters.query.as_deref().ok_or_else(|| {
        Problem::Unsupported(
            "the parameter query is missing: {container=\"api-node\"} |= \"text\"".into(),
        )
    })?;
    let mut query = logql::parse(text).map_err(|error| Problem::Unsupported(error.to_string()))?;
    let LabelParameters { start, end, since } =
        LabelParameters { start: parameters.start, end: parameters.end, since: parameters.since };
    (query.start_unix_nano, query.end_unix_nano) =
        range(start, end, since, DEFAULT_LINES_RANGE_NANOS)?;
    query.limit = match parameters.limit.as_deref().map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit @ 1..=MAX_LIMIT)) => limit,
        Some(_) => {
            return Err(Problem::Unsupported(format!("limit: a number from 1 to {MAX_LIMIT}")));
        }
    };
    query.direction = match parameters.direction.as_deref() {
        None => Direction::Backward,
        Some(text) if text.eq_ignore_ascii_case("backward") => Direction::Backward,
        Some(text) if text.eq_ignore_ascii_case("forward") => Direction::Forward,
        Some(_) => return Err(Problem::Unsupported("direction: backward or forward".into())),
    };
    let categorized = headers
        .get(ENCODING_FLAGS)
        .and_then(|flags| flags.to_str().ok())
        .is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == CATEGORIZE_LABELS));
    let lines = store.lines(query).await?;
    Ok(success(streams(lines, categorized)))
}

async fn labels(
    State(store): State<Store>,
    Query(parameters): Query<LabelParameters>,
) -> Result<Json<Answer<Vec<String>>>, Problem> {
    let LabelParameters { start, end, since } = parameters;
    let (start, end) = range(start, end, since, DEFAULT_LABELS_RANGE_NANOS)?;
    Ok(success(store.label_names(start, end).await?))
}

async fn label_values(
    State(store): State<Store>,
    Path(name): Path<String>,
    Query(parameters): Query<LabelParameters>,
) -> Result<Json<Answer<Vec<String>>>, Problem> {
    let LabelParameters { start, end, since } = parameters;
    let (start, end) = range(start, end, since, DEFAULT_LABELS_RANGE_NANOS)?;
    Ok(success(store.label_values(name, start, end).await?))
}

fn success<D>(data: D) -> Json<Answer<D>> {
    Json(Answer { status: "success", data })
}

/// Groups lines by their labels; by Loki's default a line's structured metadata counts as labels too.
fn streams(lines: Vec<Line>, categorized: bool) -> Streams {
    let mut index = BTreeMap::new();
    let mut result: Vec<Stream> = Vec::new();
    for line in lines {
        let mut metadata = line.metadata.clone();
        metadata.insert("detected_level".to_owned(), line.level().to_owned());
        if let Some(trace_id) = line.trace_id {
            metadata.insert("trace_id".to_owned(), trace_id.to_string());
        }
        if let Some(span_id) = line.span_id {
            metadata.insert("span_id".to_owned(), span_id.to_string());
        }
        let time = line.key.time_unix_nano.to_string();
        let mut stream = BTreeMap::clone(&line.labels);
        let entry = if categorized {
            let categories = Categories { structured_metadata: metadata };
            Entry::Categorized(time, line.body, categories)
        } else {
            stream.extend(metadata);
            Entry::Plain(time, line.body)
        };
        let at = *index.entry(stream).or_insert_with_key(|stream| {
            result.push(Stream { stream: stream.clone(), values: Vec::new() });
            result.len() - 1
        });
        result[at].values.push(entry);
    }
    let encoding_flags = if categorized { vec![CATEGORIZE_LABELS] } else { Vec::new() };
    Streams { result_type: "streams", encoding_flags, result, stats: BTreeMap::new() }
}

/// The times between which is looked: nanoseconds, end excluded.
fn range(
    start: Option<String>,
    end: Option<String>,
    since: Option<String>,
    default_nanos: i64,
) -> Result<(i64, i64), Problem> {
    let end = match end {
        Some(text) => time(&text, "end")?,
        // A line may be written in the very moment of the question.
        None => now_unix_nano().saturating_add(1_000_000_000),
    };
    let start = match (start, since) {
        (Some(text), _) => time(&text, "start")?,
        (None, Some(text)) => end.saturating_sub(super::tempo::duration(&text, "since")?),
        (None, None) => end.saturating_sub(default_nanos),
    };
    Ok((start, end))
}

fn now_unix_nano() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn time(text: &str, parameter: &str) -> Result<i64, Problem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if is_number && text.len() >= NANOSECOND_DIGITS {
        text.parse().ok()
    } else if let Ok(seconds) = text.parse::<f64>() {
        // Out of range saturates, which means "since ever" and "for ever".
        Some((seconds * 1e9) as i64)
    } else {
        let timestamp = text.parse::<jiff::Timestamp>().ok();
        timestamp.and_then(|timestamp| i64::try_from(timestamp.as_nanosecond()).ok())
    };
    parsed.ok_or_else(|| {
        let accepted = "nanoseconds, seconds or RFC 3339";
        Problem::Unsupported(format!("{parameter} {text:?} is not a time: {accepted}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_nanoseconds_seconds_or_rfc_3339() {
        let expected = 1_763_918_880_123_000_000;
        for text in ["1763918880123000000", "1763918880.123", "2025-11-23T17:28:00.123Z"] {
            let nanos = time(text, "start").unwrap();
            // Seconds as a float are exact to a few hundred nanoseconds.
            assert!((nanos - expected).abs() < 1_000, "{text}: {nanos}");
        }
        assert!(time("yesterday", "start").is_err());
    }
}

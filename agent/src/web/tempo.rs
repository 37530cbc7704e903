//! Tempo's read API, a subset: a trace by its id, search by tags, echo.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde::{Deserialize, Serialize};

use super::{Problem, tempo_json};
use crate::record::TraceId;
use crate::store::{SearchQuery, Store, Trace, TraceSummary};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;
const SUPPORTED: &str = "supported are tags=\"service.name=… name=…\", minDuration, maxDuration, limit, \
     start and end (seconds since 1970)";

pub(super) fn router() -> Router<Store> {
    Router::new()
        .route("/api/echo", get(|| async { "echo" }))
        .route("/api/traces/{id}", get(trace_v1))
        .route("/api/v2/traces/{id}", get(trace_v2))
        .route("/api/search", get(search))
}

async fn trace_v1(
    State(store): State<Store>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let resource_spans = find(&store, &id).await?.spans.resource_spans;
    Ok(if wants_protobuf(&headers) {
        protobuf(&TracesData { resource_spans })
    } else {
        Json(serde_json::json!({ "batches": tempo_json::resource_spans(&resource_spans) }))
            .into_response()
    })
}

/// The answer of Tempo's second version: the trace in an envelope.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
    #[prost(enumeration = "PartialStatus", tag = "3")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum PartialStatus {
    Complete = 0,
    Partial = 1,
}

async fn trace_v2(
    State(store): State<Store>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Trace { spans, truncated } = find(&store, &id).await?;
    let status = if truncated { PartialStatus::Partial } else { PartialStatus::Complete };
    Ok(if wants_protobuf(&headers) {
        let trace = Some(TracesData { resource_spans: spans.resource_spans });
        protobuf(&TraceByIdResponse { trace, status: status.into() })
    } else {
        let spans = tempo_json::resource_spans(&spans.resource_spans);
        let status = if truncated { "PARTIAL" } else { "COMPLETE" };
        Json(serde_json::json!({ "trace": { "resourceSpans": spans }, "status": status }))
            .into_response()
    })
}

async fn find(store: &Store, id: &str) -> Result<Trace, Problem> {
    // Tempo leaves out leading zeros, and takes ids without them.
    let padded = format!("{id:0>32}");
    let parsed = TraceId::from_hex(padded.as_bytes()).ok_or_else(|| {
        Problem::Unsupported(format!("{id:?} is not a trace id: up to 32 hex digits, not all zero"))
    })?;
    let trace = store.trace(parsed).await?;
    trace.ok_or_else(|| Problem::NotFound(format!("trace {parsed} is not in the store")))
}

fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/protobuf"))
}

fn protobuf(message: &impl Message) -> Response {
    ([(CONTENT_TYPE, "application/protobuf")], message.encode_to_vec()).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchParameters {
    tags: Option<String>,
    min_duration: Option<String>,
    max_duration: Option<String>,
    limit: Option<String>,
    start: Option<String>,
    end: Option<String>,
    q: Option<String>,
}

#[derive(Serialize)]
struct SearchAnswer {
    traces: Vec<Found>,
    metrics: std::collections::BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(rename = "traceID")]
    trace_id: String,
    root_service_name: String,
    root_trace_name: String,
    start_time_unix_nano: String,
    duration_ms: i64,
}

async fn search(
    State(store): State<Store>,
    Query(parameters): Query<SearchParameters>,
) -> Result<Json<SearchAnswer>, Problem> {
    let query = search_query(parameters)?;
    let traces = store.search(query).await?.into_iter().map(Found::from).collect();
    Ok(Json(SearchAnswer { traces, metrics: std::collections::BTreeMap::new() }))
}

fn search_query(parameters: SearchParameters) -> Result<SearchQuery, Problem> {
    if parameters.q.is_some_and(|q| !matches!(q.trim(), "" | "{}" | "{ }")) {
        return Err(Problem::Unsupported(format!("q (TraceQL) is not supported; {SUPPORTED}")));
    }
    let mut query = SearchQuery {
        service: None,
        name: None,
        min_duration_nanos: optional_duration(parameters.min_duration, "minDuration")?,
        max_duration_nanos: optional_duration(parameters.max_duration, "maxDuration")?,
        start_unix_nano: optional_seconds(parameters.start, "start")?.unwrap_or(0),
        end_unix_nano: optional_seconds(parameters.end, "end")?.unwrap_or(i64::MAX),
        limit: DEFAULT_LIMIT,
    };
    if let Some(limit) = parameters.limit {
        query.limit = match limit.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => limit,
            _ => {
                let accepted = format!("limit: a number from 1 to {MAX_LIMIT}");
                return Err(Problem::Unsupported(accepted));
            }
        };
    }
    for (key, value) in tags(parameters.tags.as_deref().unwrap_or_default())? {
        match key.as_str() {
            "service.name" => query.service = Some(value),
            "name" => query.name = Some(value),
            _ => {
                let text = format!("the tag {key:?} is not supported; {SUPPORTED}");
                return Err(Problem::Unsupported(text));
            }
        }
    }
    Ok(query)
}

/// `key=value key="a value"`, as logfmt has it.
fn tags(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let faulty = || Problem::Unsupported(format!("tags {text:?} cannot be read; {SUPPORTED}"));
    let mut tags = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or_else(faulty)?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(faulty)?,
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        tags.push((key.trim().to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok(tags)
}

fn optional_seconds(text: Option<String>, parameter: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<u32>() {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(i64::from(seconds) * 1_000_000_000)),
        Err(_) => Err(Problem::Unsupported(format!("{parameter}: seconds since 1970"))),
    }
}

fn optional_duration(text: Option<String>, parameter: &str) -> Result<Option<i64>, Problem> {
    text.map(|text| duration(&text, parameter)).transpose()
}

/// A duration as Go writes it, such as `1.5s` or `2h45m`, in nanoseconds.
pub(super) fn duration(text: &str, parameter: &str) -> Result<i64, Problem> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3_600e9),
        ("d", 86_400e9),
    ];
    let faulty = || {
        let accepted = "a duration such as 250ms, 1.5s or 2h45m";
        Problem::Unsupported(format!("{parameter} {text:?} is not {accepted}"))
    };
    let mut nanos = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(faulty)?;
        let number: f64 = rest[..digits].parse().map_err(|_| faulty())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, factor) =
            UNITS.iter().find(|(name, _)| *name == &rest[..unit]).ok_or_else(faulty)?;
        nanos += number * factor;
        rest = &rest[unit..];
    }
    if text.is_empty() { Err(faulty()) } else { Ok(nanos as i64) }
}

impl From<TraceSummary> for Found {
    fn from(summary: TraceSummary) -> Self {
        let missing = || (String::new(), "<root span not yet received>".to_owned());
        let (root_service_name, root_trace_name) = summary.root.unwrap_or_else(missing);
        Self {
            trace_id: summary.id.to_string(),
            root_service_name,
            root_trace_name,
            start_time_unix_nano: summary.start_unix_nano.to_string(),
            duration_ms: summary.duration_nanos / 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, nanos) in
            [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("1m30s", 90_000_000_000)]
        {
            assert_eq!(duration(text, "minDuration").unwrap(), nanos);
        }
        for text in ["", "5", "s", "1x", "1.2.3s", "ms5"] {
            assert!(duration(text, "minDuration").is_err(), "{text}");
        }
    }

    #[test]
    fn tags_are_logfmt() {
        let read = tags("service.name=api-node name=\"GET /something\"").unwrap();
        assert_eq!(read[0], ("service.name".to_owned(), "api-node".to_owned()));
        assert_eq!(read[1], ("name".to_owned(), "GET /something".to_owned()));
        assert!(tags("service.name").is_err());
    }
}

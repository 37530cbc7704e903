//! Prometheus's read API, a subset, as Grafana asks it: `query`, `query_range`, `query_exemplars`, `series`, `labels`,
//! `label/{name}/values`, `metadata` and `status/buildinfo`; which queries, [`promql`](super::promql) says.
//!
//! What Grafana sends as a form by POST is answered like a GET: it only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::promql::{self, Answer, Expr, Labels, ParseError, Range};
use crate::samples::number_text;
use crate::store::{Matcher, ReadError, SeriesQuery, Store, Stored};

/// Where all of it is.
pub(super) const PREFIX: &str = "/api/v1/";

/// Prometheus's own bound.
const MAX_STEPS: i64 = 11_000;
/// A form is a query and its times.
const MAX_FORM_BYTES: usize = 64 * 1024;
/// What is looked at when no start is given.
const DEFAULT_RANGE_NANOS: i64 = 3_600_000_000_000;

pub(super) fn router() -> Router<Store> {
    Router::new()
        .route("/api/v1/query", get(query).post(query))
        .route("/api/v1/query_range", get(query_range).post(query_range))
        .route("/api/v1/query_exemplars", get(query_exemplars).post(query_exemplars))
        .route("/api/v1/series", get(series).post(series))
        .route("/api/v1/labels", get(labels).post(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/status/buildinfo", get(build_info))
        .layer(middleware::from_fn(form_as_query))
}

/// What a request says: names may come more than once.
type Parameters = Query<Vec<(String, String)>>;

/// A question that cannot be answered, as Prometheus says it.
struct Problem {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

type Answered = Result<Json<Value>, Problem>;

async fn query(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    let expr = promql::parse(required(&parameters, "query")?)?;
    let time = match find(&parameters, "time") {
        Some(text) => time(text, "time")?,
        None => now_unix_nano(),
    };
    let seconds = time as f64 / 1e9;
    let value = |number: f64| json!([seconds, number_text(number)]);
    Ok(success(match promql::evaluate(&store, &expr, Range::at(time)).await? {
        Answer::Scalar(numbers) => {
            let number = numbers.first().copied().unwrap_or(f64::NAN);
            json!({"resultType": "scalar", "result": value(number)})
        }
        Answer::Vector(series) => {
            let result: Vec<Value> = series
                .into_iter()
                .filter_map(|(labels, values)| {
                    let number = values.first().copied().flatten()?;
                    Some(json!({"metric": labels, "value": value(number)}))
                })
                .collect();
            json!({"resultType": "vector", "result": result})
        }
    }))
}

async fn query_range(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    let expr = promql::parse(required(&parameters, "query")?)?;
    let start = time(required(&parameters, "start")?, "start")?;
    let end = time(required(&parameters, "end")?, "end")?;
    let step = step(required(&parameters, "step")?)?;
    if end < start {
        return Err(bad("end lies before start"));
    }
    if end.saturating_sub(start) / step >= MAX_STEPS {
        return Err(bad("more than 11000 steps; choose a larger step or a shorter time"));
    }
    let range = Range { start, end, step };
    let pairs = |values: Vec<Option<f64>>| -> Vec<Value> {
        let known = range.steps().zip(values);
        let known = known.filter_map(|(time, value)| Some((time, value?)));
        known.map(|(time, value)| json!([time as f64 / 1e9, number_text(value)])).collect()
    };
    let result: Vec<Value> = match promql::evaluate(&store, &expr, range).await? {
        Answer::Scalar(numbers) => {
            let values = numbers.into_iter().map(Some).collect();
            vec![json!({"metric": {}, "values": pairs(values)})]
        }
        Answer::Vector(series) => series
            .into_iter()
            .map(|(labels, values)| (labels, pairs(values)))
            .filter(|(_, values)| !values.is_empty())
            .map(|(labels, values)| json!({"metric": labels, "values": values}))
            .collect(),
    };
    Ok(success(json!({"resultType": "matrix", "result": result})))
}

async fn query_exemplars(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    let expr = promql::parse(required(&parameters, "query")?)?;
    let (start_unix_nano, end_unix_nano) = times(&parameters)?;
    let mut selectors = Vec::new();
    collect_selectors(&expr, &mut selectors);
    let mut found: BTreeMap<Labels, Vec<Value>> = BTreeMap::new();
    for matchers in selectors {
        let query = SeriesQuery { matchers, start_unix_nano, end_unix_nano };
        for (stored, examples) in store.examples(query).await? {
            let examples = examples.into_iter().map(|example| {
                json!({
                    "labels": example.labels,
                    "value": number_text(example.value),
                    "timestamp": example.time_unix_nano as f64 / 1e9,
                })
            });
            found.insert(stored.labels, examples.collect());
        }
    }
    let result: Vec<Value> = found
        .into_iter()
        .map(|(labels, exemplars)| json!({"seriesLabels": labels, "exemplars": exemplars}))
        .collect();
    Ok(success(json!(result)))
}

async fn series(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    if find(&parameters, "match[]").is_none() {
        return Err(bad("the parameter match[] is missing: match[]=up"));
    }
    let labels = matching(&store, &parameters).await?.into_iter().map(|stored| stored.labels);
    Ok(success(json!(labels.collect::<BTreeSet<_>>())))
}

async fn labels(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    let all = matching(&store, &parameters).await?;
    let names: BTreeSet<&String> = all.iter().flat_map(|stored| stored.labels.keys()).collect();
    Ok(success(json!(names)))
}

async fn label_values(
    State(store): State<Store>,
    Path(name): Path<String>,
    Query(parameters): Parameters,
) -> Answered {
    let all = matching(&store, &parameters).await?;
    let values: BTreeSet<&String> =
        all.iter().filter_map(|stored| stored.labels.get(&name)).collect();
    Ok(success(json!(values)))
}

async fn metadata(State(store): State<Store>, Query(parameters): Parameters) -> Answered {
    let wanted = find(&parameters, "metric");
    let limit = match find(&parameters, "limit").map(str::parse) {
        None => usize::MAX,
        Some(Ok(limit)) => limit,
        Some(Err(_)) => return Err(bad("limit is not a number")),
    };
    let mut families: BTreeMap<String, Value> = BTreeMap::new();
    for stored in matching(&store, &parameters).await? {
        let Stored { family, kind, help, .. } = stored;
        if wanted.is_none_or(|wanted| wanted == family) {
            let about = json!([{"type": kind.word(), "help": help, "unit": ""}]);
            families.insert(family, about);
        }
    }
    Ok(success(json!(families.into_iter().take(limit).collect::<BTreeMap<_, _>>())))
}

/// Grafana asks for it to know what it may ask for.
async fn build_info() -> Json<Value> {
    success(json!({"version": "2.42.0", "revision": "", "application": "spanline-agent"}))
}

/// The series that any of `match[]` selects; all of them when there is none.
async fn matching(store: &Store, parameters: &[(String, String)]) -> Result<Vec<Stored>, Problem> {
    let (start_unix_nano, end_unix_nano) = times(parameters)?;
    let mut selectors: Vec<Vec<Matcher>> = Vec::new();
    for (_, selector) in parameters.iter().filter(|(name, _)| name == "match[]") {
        selectors.push(promql::parse_selector(selector)?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let mut found = Vec::new();
    for matchers in selectors {
        let query = SeriesQuery { matchers, start_unix_nano, end_unix_nano };
        found.extend(store.series_names(query).await?);
    }
    Ok(found)
}

fn collect_selectors(expr: &Expr, selectors: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number(_) => {}
        Expr::Vector(matchers) | Expr::Rate { matchers, .. } => selectors.push(matchers.clone()),
        Expr::Quantile { of, .. } | Expr::Aggregate { of, .. } => collect_selectors(of, selectors),
        Expr::Binary { left, right, .. } => {
            collect_selectors(left, selectors);
            collect_selectors(right, selectors);
        }
    }
}

fn times(parameters: &[(String, String)]) -> Result<(i64, i64), Problem> {
    let end = match find(parameters, "end") {
        Some(text) => time(text, "end")?,
        None => now_unix_nano(),
    };
    let start = match find(parameters, "start") {
        Some(text) => time(text, "start")?,
        None => end.saturating_sub(DEFAULT_RANGE_NANOS),
    };
    Ok((start, end))
}

fn find<'a>(parameters: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn required<'a>(parameters: &'a [(String, String)], name: &str) -> Result<&'a str, Problem> {
    find(parameters, name).ok_or_else(|| bad(&format!("the parameter {name} is missing")))
}

fn time(text: &str, parameter: &str) -> Result<i64, Problem> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    // Out of range saturates, which means "since ever" and "for ever"; differences stay in range.
    let from_seconds = seconds.map(|seconds| ((seconds * 1e9) as i64).clamp(0, i64::MAX / 2));
    let from_text = || {
        let timestamp = text.parse::<jiff::Timestamp>().ok()?;
        i64::try_from(timestamp.as_nanosecond()).ok()
    };
    from_seconds.or_else(from_text).ok_or_else(|| {
        bad(&format!("{parameter} {text:?} is not a time: seconds since 1970 or RFC 3339"))
    })
}

fn step(text: &str) -> Result<i64, Problem> {
    let from_seconds = text.parse::<f64>().ok().map(|seconds| (seconds * 1e9) as i64);
    from_seconds
        .or_else(|| promql::duration_nanos(text))
        .filter(|step| *step > 0)
        .ok_or_else(|| bad(&format!("step {text:?} is not a duration such as 15 or 1m")))
}

fn now_unix_nano() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn success(data: Value) -> Json<Value> {
    Json(json!({"status": "success", "data": data}))
}

fn bad(text: &str) -> Problem {
    Problem { status: StatusCode::BAD_REQUEST, kind: "bad_data", text: text.to_owned() }
}

/// Turns a form that was sent by POST into the query that it stands for.
async fn form_as_query(request: Request, next: Next) -> Response {
    if *request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut head, body) = request.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|content_type| {
        content_type.split(';').next().unwrap_or_default().trim()
            == "application/x-www-form-urlencoded"
    });
    if !is_form {
        return bad("by POST only a form is answered: application/x-www-form-urlencoded")
            .into_response();
    }
    let Ok(form) = to_bytes(body, MAX_FORM_BYTES).await else {
        return bad("a form has at most 65536 bytes").into_response();
    };
    let form = String::from_utf8_lossy(&form).replace(char::is_whitespace, "+");
    let query = match head.uri.query() {
        Some(query) if !query.is_empty() => format!("{query}&{form}"),
        _ => form,
    };
    let Ok(uri) = format!("{}?{query}", head.uri.path()).parse::<Uri>() else {
        return bad("the form is not percent-encoded").into_response();
    };
    head.uri = uri;
    next.run(Request::from_parts(head, Body::empty())).await
}

impl From<ParseError> for Problem {
    fn from(error: ParseError) -> Self {
        bad(&error.to_string())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let (status, kind) = match error {
            ReadError::TooSlow { .. } | ReadError::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "timeout")
            }
            ReadError::TooLarge { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            ReadError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self { status, kind, text: error.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, kind, text } = self;
        let body = json!({"status": "error", "errorType": kind, "error": text});
        (status, Json(body)).into_response()
    }
}

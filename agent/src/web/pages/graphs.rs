//! How the services do: requests, errors and durations over time; points lead to the trace of one request.

use std::time::{SystemTime, UNIX_EPOCH};

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::assets::{ICON, STYLE};
use super::chart::{Chart, Line, Mark, Plane};
use super::colours::Colours;
use super::time::{Moment, duration_text};
use super::{render, unreadable};
use crate::record::TraceId;
use crate::store::{Matcher, Operator, ReadError, SeriesQuery, Store};
use crate::web::promql::{self, Answer, Labels, Range, Values};

/// What the conventions call a server's requests, in Prometheus's words.
const DURATION: &str = "http_server_request_duration_seconds";

/// Values along a line.
const STEPS: i64 = 120;

/// The shortest time over which a rate is taken: two pushes of a sender that pushes once a minute.
const SHORTEST_RATE_SECONDS: i64 = 120;

/// Points that lead to a trace; more would cover each other.
const MAX_MARKS: usize = 150;

/// Services that are drawn; further ones are reached by the read API.
const MAX_SERVICES: usize = 16;

/// Why a line may run above or below all dots.
const DURATION_NOTE: &str = "p95 and median are estimates, as Prometheus's histogram_quantile makes them: a histogram \
    tells how many requests fell between two bounds, and within these they are taken to lie evenly. Dots are single \
    requests at their exact duration, so with few requests a line may run above or below all of them.";

const SECOND_NANOS: i64 = 1_000_000_000;

/// How far back a page may look: what it is called in an address, what in words, how many seconds.
const SPANS: [(&str, &str, i64); 4] = [
    ("15m", "15 minutes", 900),
    ("1h", "hour", 3_600),
    ("6h", "6 hours", 21_600),
    ("24h", "day", 86_400),
];

#[derive(Template)]
#[template(path = "graphs.html")]
struct GraphsPage {
    /// The address's word of each span of time, and what it is called.
    spans: [(&'static str, &'static str, i64); 4],
    chosen: &'static str,
    services: Vec<String>,
    colours: Colours,
    charts: Vec<Chart>,
}

/// Serves `/graphs`.
pub(super) async fn page(
    State(store): State<Store>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Response {
    let wanted = parameters.iter().rev().find(|(name, _)| name == "range");
    let span = wanted.and_then(|(_, value)| SPANS.into_iter().find(|(word, ..)| word == value));
    match answer(&store, span.unwrap_or(SPANS[0]), now_unix_nano()).await {
        Ok(page) => render(StatusCode::OK, &page),
        Err(error) => unreadable(&error),
    }
}

async fn answer(
    store: &Store,
    (chosen, _, seconds): (&'static str, &'static str, i64),
    now: i64,
) -> Result<GraphsPage, ReadError> {
    let step = seconds * SECOND_NANOS / STEPS;
    // Whole steps, so that a page that is loaded again shows the same values where it showed them.
    let end = now / step * step;
    let range = Range { start: end - STEPS * step, end, step };
    let over = (4 * step / SECOND_NANOS).max(SHORTEST_RATE_SECONDS);
    let requests = format!("sum by (job) (rate({DURATION}_count[{over}s]))");
    let failed = format!(
        "sum by (job) (rate({DURATION}_count{{http_response_status_code=~\"5..\"}}[{over}s]))"
    );
    let quantile =
        |q| format!("histogram_quantile({q}, sum by (job, le) (rate({DURATION}_bucket[{over}s])))");
    let requests = ask(store, &requests, range).await?;
    let mut services: Vec<String> = requests.iter().map(|(job, _)| job.clone()).collect();
    services.truncate(MAX_SERVICES);
    let failed = ask(store, &failed, range).await?;
    let (median, slow) =
        (ask(store, &quantile(0.5), range).await?, ask(store, &quantile(0.95), range).await?);
    let examples = examples(store, range, &services).await?;

    let lines = |series: &[(String, Values)], note: &'static str, is_faint: bool| {
        let line = |(job, values): &(String, Values)| {
            let service = services.iter().position(|known| known == job)?;
            Some(Line { service, note, is_faint, values: values.clone() })
        };
        series.iter().filter_map(line).collect::<Vec<_>>()
    };
    let plane = |title, unit| Plane { title, unit, note: "", range, services: &services };
    let mut durations = lines(&slow, "p95", false);
    durations.extend(lines(&median, "median", true));
    let charts = vec![
        plane("Requests", per_second as fn(f64) -> String)
            .chart(lines(&requests, "", false), Vec::new()),
        plane("Errors (5xx)", per_second).chart(lines(&failed, "", false), Vec::new()),
        Plane { note: DURATION_NOTE, ..plane("Duration", seconds_text) }.chart(durations, examples),
    ];
    let colours = Colours::of(store, &services).await?;
    Ok(GraphsPage { spans: SPANS, chosen, services, colours, charts })
}

/// The answer by service; a query of ours is always one that is understood.
async fn ask(store: &Store, query: &str, range: Range) -> Result<Vec<(String, Values)>, ReadError> {
    let expr =
        promql::parse(query).map_err(|error| ReadError::Failed { message: error.to_string() })?;
    let Answer::Vector(series) = promql::evaluate(store, &expr, range).await? else {
        return Ok(Vec::new());
    };
    Ok(series.into_iter().map(|(labels, values)| (job(&labels), values)).collect())
}

fn job(labels: &Labels) -> String {
    labels.get("job").cloned().unwrap_or_else(|| "unknown_service".to_owned())
}

/// Requests that lead to their trace: the newest.
async fn examples(
    store: &Store,
    range: Range,
    services: &[String],
) -> Result<Vec<Mark>, ReadError> {
    let name = Operator::Equal(format!("{DURATION}_bucket"));
    let query = SeriesQuery {
        matchers: vec![Matcher { name: "__name__".to_owned(), operator: name }],
        start_unix_nano: range.start,
        end_unix_nano: range.end,
    };
    let mut marks = Vec::new();
    for (series, examples) in store.examples(query).await? {
        let job = job(&series.labels);
        let Some(service) = services.iter().position(|known| *known == job) else { continue };
        let route = series.labels.get("http_route").cloned().unwrap_or_default();
        for example in examples {
            let id = example.labels.get("trace_id").map(String::as_bytes);
            let Some(trace) = id.and_then(TraceId::from_hex) else { continue };
            let time = Moment::from_unix_nano(example.time_unix_nano).clock;
            let title = format!("{job} {route} {} at {time}", seconds_text(example.value));
            marks.push(Mark {
                service,
                trace,
                title,
                time_unix_nano: example.time_unix_nano,
                value: example.value,
            });
        }
    }
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.time_unix_nano));
    marks.dedup_by_key(|mark| (mark.time_unix_nano, mark.trace));
    marks.truncate(MAX_MARKS);
    Ok(marks)
}

fn per_second(value: f64) -> String {
    let digits = match value {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}/s")
}

fn seconds_text(value: f64) -> String {
    // What is negative or not a number becomes zero, what is too large the largest.
    duration_text((value * 1e9) as u64)
}

fn now_unix_nano() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

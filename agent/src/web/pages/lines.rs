//! The newest lines, and the search among them.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::assets::{ICON, LIVE, STYLE};
use super::search::{PAGE_LINES, Search};
use super::text::{Part, parts, shown};
use super::time::Moment;
use super::{render, unreadable};
use crate::record::TraceId;
use crate::store::{Line, ReadError, Store};

/// The digits of a trace id that a row shows; enough to tell traces on one page apart.
const SHORT_ID_DIGITS: usize = 8;

/// Services to choose from; further ones are reached by an address with their name.
const MAX_SERVICES: usize = 500;

#[derive(Template)]
#[template(path = "lines.html")]
struct LinesPage {
    search: Search,
    /// What is wrong with the search.
    fault: Option<&'static str>,
    services: Vec<String>,
    rows: Vec<LineRow>,
    older_url: Option<String>,
    /// The trace that is searched for.
    trace_id: Option<TraceId>,
}

struct LineRow {
    time: Moment,
    level: &'static str,
    service: String,
    pod: String,
    /// The whole id, and its beginning.
    trace: Option<(String, String)>,
    text: Vec<Part>,
}

/// Serves `/`.
pub(super) async fn page(
    State(store): State<Store>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Response {
    let search = Search::from_parameters(parameters);
    match answer(&store, search).await {
        Ok((status, page)) => render(status, &page),
        Err(error) => unreadable(&error),
    }
}

async fn answer(store: &Store, search: Search) -> Result<(StatusCode, LinesPage), ReadError> {
    let mut services = store.label_values("service_name".to_owned(), 0, i64::MAX).await?;
    services.truncate(MAX_SERVICES);
    let (fault, trace_id, mut lines) = match search.to_query() {
        Ok(query) => (None, query.trace_id, store.lines(query).await?),
        Err(fault) => (Some(fault), None, Vec::new()),
    };
    let has_older = lines.len() > PAGE_LINES;
    lines.truncate(PAGE_LINES);
    let older_url = lines.last().filter(|_| has_older).map(|line| search.older_url(line.key));
    let rows = lines.iter().map(|line| LineRow::new(line, &search.text)).collect();
    let status = if fault.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok((status, LinesPage { search, fault, services, rows, older_url, trace_id }))
}

impl LinesPage {
    /// Whether the service that is searched for is none to choose from: the form names it still.
    fn service_is_unlisted(&self) -> bool {
        !self.search.service.is_empty() && !self.services.contains(&self.search.service)
    }
}

impl LineRow {
    fn new(line: &Line, needle: &str) -> Self {
        let label = |name: &str| line.labels.get(name).cloned().unwrap_or_default();
        Self {
            time: Moment::from_unix_nano(line.key.time_unix_nano),
            level: line.level(),
            service: label("service_name"),
            pod: label("pod"),
            trace: line.trace_id.map(|id| {
                let id = id.to_string();
                let short = id.chars().take(SHORT_ID_DIGITS).collect();
                (id, short)
            }),
            text: parts(&shown(&line.body), needle),
        }
    }
}

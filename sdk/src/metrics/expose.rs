//! `/metrics`: the answer to a scraper, as a router to mount or behind a listener of its own.

mod listener;
mod negotiate;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::registry::Registry;
use super::text;
use crate::gzip::gzipped;
pub(crate) use listener::Listener;
use negotiate::Format;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `GET /metrics`.
pub(super) fn router(registry: Registry) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(registry)
}

/// Off the runtime's own threads: the metrics of the service and its libraries may run their code.
async fn scrape(State(registry): State<Registry>, headers: HeaderMap) -> Response<Body> {
    let read = tokio::task::spawn_blocking(move || answer(&registry, &headers)).await;
    read.unwrap_or_else(|_| {
        let mut response = Response::new(Body::from("the metrics could not be read\n"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// What a scraper gets for its headers.
fn answer(registry: &Registry, headers: &HeaderMap) -> Response<Body> {
    let snapshot = registry.snapshot();
    let (content_type, text) = match negotiate::format(&listed(headers, &ACCEPT)) {
        Format::OpenMetrics => (OPENMETRICS, text::openmetrics(&snapshot)),
        Format::Prometheus => (PROMETHEUS, text::prometheus(&snapshot)),
    };
    let is_zipped = negotiate::wants_gzip(&listed(headers, &ACCEPT_ENCODING));
    let body = if is_zipped { gzipped(&text) } else { text };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A header that may come in several lines.
fn listed(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

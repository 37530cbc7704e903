//! The pages: the newest lines, a trace as a waterfall, and graphs of requests.
//!
//! They are rendered here and readable without JavaScript; nothing in them is inline style or
//! script, so the strictest Content-Security-Policy holds. All that comes from telemetry passes
//! through the templates' escaping; addresses are made in [`search`] and percent-encoded there.

mod assets;
mod chart;
mod colours;
mod graphs;
mod lines;
mod own_time;
mod scale;
mod search;
mod span;
mod text;
mod time;
mod trace;
mod tree;

use askama::Template;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::store::{ReadError, Store};
use assets::{ICON, STYLE};

/// The routes of the pages and of what they load.
pub(super) fn router() -> Router<Store> {
    Router::new()
        .route("/", get(lines::page))
        .route("/graphs", get(graphs::page))
        .route("/trace/{id}", get(trace::page))
        .route("/assets/{file}", get(assets::serve))
}

/// A page that says what is wrong and what to do about it.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    /// Where to go on, and what that place is called.
    onward: (&'a str, &'a str),
}

/// The answer that a template makes. It is asked for anew each time: lines and spans keep coming.
fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(header::CACHE_CONTROL, "no-cache")], Html(html)).into_response(),
        // A template writes to memory; only a `Display` of ours could fail.
        Err(error) => {
            let text = format!("cannot render the page: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn unreadable(error: &ReadError) -> Response {
    let status = match error {
        ReadError::TooSlow { .. } | ReadError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        ReadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        ReadError::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = error.to_string();
    let onward = ("/", "Newest lines");
    render(status, &Notice { title: "The store did not answer", text: &text, onward })
}

//! The read API, as Loki, Tempo and Prometheus have it, and the pages for people.

mod guard;
mod loki;
mod pages;
mod prometheus;
mod promql;
mod tempo;
mod tempo_json;

use std::net::SocketAddr;

use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use http::StatusCode;

use crate::store::{ReadError, Store};

/// Everything that is read from `store`, for a listener on `address`.
///
/// On loopback there is no password, so a request must also name this machine as its host: else a web page
/// elsewhere could point a name of its own at it and read everything through a visitor's browser.
pub fn router(store: Store, address: SocketAddr) -> Router {
    let router = Router::new()
        .merge(pages::router())
        .merge(loki::router())
        .merge(tempo::router())
        .merge(prometheus::router());
    let router = router.with_state(store).layer(middleware::from_fn(guard::headers));
    if address.ip().is_loopback() {
        router.layer(middleware::from_fn(guard::this_machine_only))
    } else {
        router
    }
}

/// A question that cannot be answered, in plain text, as Loki and Tempo say it.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The question is not one that is understood; the text says what is.
    Unsupported(String),
    /// What was asked for is not there.
    NotFound(String),
    /// The store could not answer.
    Store(ReadError),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Unsupported(text) => (StatusCode::BAD_REQUEST, text),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, text),
            Self::Store(error) => {
                let status = match error {
                    ReadError::TooSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
                    ReadError::TooLarge { .. } => StatusCode::BAD_REQUEST,
                    ReadError::Busy => StatusCode::SERVICE_UNAVAILABLE,
                    ReadError::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
                };
                (status, error.to_string())
            }
        };
        (status, text + "\n").into_response()
    }
}

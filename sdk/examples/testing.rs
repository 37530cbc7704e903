//! A service and its own test of what it prints and which spans it makes.
//!
//! ```sh
//! cargo test -p spanline --example testing
//! ```

use axum::extract::Path;
use axum::http::StatusCode;
use axum::{Router, routing::get};

/// Makes the router, so that a test can call it without a socket.
fn app() -> Router {
    Router::new().route("/items/{sku}", get(item)).layer(spanline::http::server())
}

async fn item(Path(sku): Path<u64>) -> StatusCode {
    if sku == 12 {
        return StatusCode::OK;
    }
    tracing::warn!(sku, "no such item");
    StatusCode::NOT_FOUND
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let _telemetry = spanline::init("shop");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    spanline::serve(listener, app()).await
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(path: &str) {
        drop(app().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_item_is_a_warning_in_the_span_of_its_request() {
        let telemetry = spanline::testing::start();
        get("/items/13").await;

        let span = telemetry.ended("GET /items/{sku}").await;
        assert_eq!(span["http.response.status_code"], 404);
        let line = telemetry.line("no such item");
        assert_eq!((line.level, line["sku"].as_u64()), (tracing::Level::WARN, Some(13)));
        assert!(line.is_in(&span));
    }

    #[tokio::test]
    async fn a_known_item_is_nothing_to_speak_of() {
        let telemetry = spanline::testing::start();
        get("/items/12").await;
        telemetry.assert_no_line(|line| line.level <= tracing::Level::WARN);
    }
}

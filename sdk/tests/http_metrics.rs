//! The server layer records what the conventions want of each request, and excluded paths are none.

#![allow(clippy::unwrap_used, reason = "a test may")]

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn ask(app: &Router, method: &str, path: &str) {
    let request = Request::builder().method(method).uri(path).header("content-length", "7");
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    response.into_body().collect().await.unwrap();
}

async fn scraped(telemetry: &spanline::Telemetry) -> String {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let response = telemetry.metrics_router().oneshot(request).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

// One test, since a process has one telemetry.
#[tokio::test]
async fn requests_are_counted_by_route_status_and_method_and_none_is_left_active() {
    let directory = tempfile::tempdir().unwrap();
    let telemetry = spanline::builder("checkout")
        .log_output(spanline::LogOutput::File(directory.path().join("log")))
        .otlp_endpoint("http://127.0.0.1:9")
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .shutdown_timeout(std::time::Duration::from_millis(100))
        .init();
    let app = Router::new()
        .route("/users/{id}", get(async || "a user"))
        .route("/fails", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/healthz", get(async || "ok"))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(spanline::http::server().exclude("/healthz"));
    for path in ["/users/1", "/users/2", "/fails", "/healthz", "/1", "/2", "/3"] {
        ask(&app, "GET", path).await;
    }
    ask(&app, "BREW", "/coffee").await;
    let brief = std::time::Duration::from_millis(20);
    assert!(tokio::time::timeout(brief, ask(&app, "GET", "/hangs")).await.is_err());

    let text = scraped(&telemetry).await;
    let value = |family: &str, labels: &[&str]| {
        let mut lines = text.lines().filter(|line| {
            line.starts_with(&format!("{family}{{")) && labels.iter().all(|one| line.contains(one))
        });
        let line = lines.next().unwrap_or_else(|| panic!("no {family} {labels:?} in\n{text}"));
        assert_eq!(lines.next(), None, "more than one {family} {labels:?}");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let count = "http_server_request_duration_seconds_count";
    assert_eq!(value(count, &["http_route=\"/users/{id}\""]), 2.0);
    assert_eq!(value(count, &["/fails", "503", "error_type=\"503\""]), 1.0);
    assert_eq!(value(count, &["GET", "404"]), 3.0, "no route: one series");
    assert_eq!(value(count, &["_OTHER", "404"]), 1.0);
    assert_eq!(value(count, &["/hangs", "error_type=\"cancelled\""]), 1.0);
    assert!(!text.contains("healthz") && !text.contains("BREW"));
    let sum = "http_server_response_body_size_bytes_sum";
    assert_eq!(value(sum, &["/users/{id}"]), 12.0, "two of six bytes");
    let sum = "http_server_request_body_size_bytes_sum";
    assert_eq!(value(sum, &["/users/{id}"]), 14.0);
    for line in text.lines().filter(|line| line.starts_with("http_server_active_requests{")) {
        assert!(line.ends_with(" 0") || line.ends_with(" 0.0"), "{line}");
    }
}

//! What a caller's headers may cost: malformed ones allocate no more than valid ones, whatever their size.
//!
//! Allocations are counted, not time: a header that is read, copied or kept shows in them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

#[path = "../benches/harness/allocations.rs"]
mod allocations;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderName, HeaderValue, Request};
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Allocations of one request with these headers, by a service that is warm.
async fn allocated(app: &Router, headers: &[(&'static str, String)]) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..5 {
        let mut request = Request::get("/").body(Body::empty()).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(HeaderName::from_static(name), value);
        }
        let app = app.clone();
        let before = allocations::made();
        let response = app.oneshot(request).await.unwrap();
        axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        least = least.min(allocations::made() - before);
    }
    least
}

#[tokio::test]
async fn malformed_headers_allocate_no_more_than_valid_ones() {
    let _telemetry = spanline::testing::start();
    let routes = Router::new().route("/", get(|| async { "served" }));
    let app = routes.layer(spanline::http::server().context_only());
    let parent = || ("traceparent", PARENT.to_owned());
    let valid = allocated(&app, &[parent()]).await;
    // 31 members, each in its form, and one that is not.
    let broken_at_its_end = |bytes: usize| {
        let value = "v".repeat(bytes / 32 - 4);
        let mut state: String = (0..31).map(|index| format!("{index:02}={value},")).collect();
        state.push_str(&"k".repeat(bytes - state.len()));
        ("tracestate", state)
    };
    let cases = [
        ("a traceparent of 64 KiB", vec![("traceparent", "0".repeat(64 * 1024))]),
        ("100 traceparents", vec![parent(); 100]),
        ("a tracestate of 64 KiB", vec![parent(), ("tracestate", "a=b,".repeat(16 * 1024))]),
        ("one of 8 KiB that breaks at its end", vec![parent(), broken_at_its_end(8 * 1024 - 1)]),
        ("one of 512 bytes that breaks at its end", vec![parent(), broken_at_its_end(512)]),
        ("one that says a key twice", vec![parent(), ("tracestate", "a=1,b=2,a=3".to_owned())]),
    ];
    for (what, headers) in cases {
        let malformed = allocated(&app, &headers).await;
        assert!(malformed <= valid, "{what}: {malformed} allocations, {valid} for a valid one");
    }
    let kept = allocated(&app, &[parent(), ("tracestate", "a=1,b=2".to_owned())]).await;
    assert!(kept > valid, "what is kept is counted, or nothing is: {kept}, {valid}");
}

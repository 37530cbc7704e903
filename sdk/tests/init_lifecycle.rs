//! From `init` to `shutdown` in one process: lines and spans are accounted for, and a second start says so.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::TcpListener;
use std::time::{Duration, Instant};

use opentelemetry::trace::Tracer as _;
use spanline::{InitError, LogFormat, LogOutput};

/// An address at which connections are accepted by the system, and nobody ever answers.
fn black_hole() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

// One test, since a process has one subscriber.
#[test]
fn everything_is_accounted_for_within_the_deadline_whoever_does_not_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let (_listener, endpoint) = black_hole();
    let timeout = Duration::from_secs(1);
    let telemetry = spanline::builder("checkout")
        .log_format(LogFormat::Json)
        .log_output(LogOutput::File(file.clone()))
        // Hides every span but warnings from lines, and must not hide one from tracing.
        .log_filter("warn")
        .otlp_endpoint(endpoint)
        .shutdown_timeout(timeout)
        // The usual port may be taken, which would be one line more.
        .metrics_addr(([127, 0, 0, 1], 0).into())
        .try_init()
        .unwrap();

    tracing::info_span!("order").in_scope(|| {
        tracing::info!("not printed");
        tracing::warn!(sku = 12, "printed");
        log::warn!("printed as well");
    });
    let again = spanline::builder("checkout").try_init();
    assert!(matches!(again, Err(InitError::SubscriberIsSet)), "{again:?}");
    // A second one that goes on regardless takes nothing from the first, however long it may wait.
    drop(spanline::builder("other").shutdown_timeout(Duration::MAX).init());
    drop(opentelemetry::global::tracer("users").start("own"));

    let began = Instant::now();
    telemetry.shutdown();
    assert!(began.elapsed() < timeout + Duration::from_millis(500), "{:?}", began.elapsed());
    telemetry.shutdown();

    let ledger = telemetry.ledger();
    assert_eq!((ledger.spans.ended, ledger.spans.dropped.shutdown), (2, 2), "{ledger:?}");
    let lines = ledger.lines;
    assert_eq!(lines.emitted, lines.written + lines.queued + lines.dropped.total());

    let written = std::fs::read_to_string(&file).unwrap();
    let ours: Vec<serde_json::Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["target"] == "init_lifecycle")
        .collect();
    let messages: Vec<_> = ours.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["printed", "printed as well"], "{written}");
    assert_eq!(ours[0]["sku"], 12);
    let ids: Vec<_> = ours.iter().map(|line| line["trace_id"].as_str().unwrap()).collect();
    assert_eq!(ids[0].len(), 32);
    assert_eq!(ids[0], ids[1], "a line of the log crate has the ids as well");
}

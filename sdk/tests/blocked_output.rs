//! A reader that stops reading costs lines, counted, and no request.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use rustix::fs::{CWD, Mode, mkfifoat};
use spanline::{LineLedger, LogOutput, Sampler};
use tower::ServiceExt as _;

const REQUESTS: usize = 2_000;
const LINE_BYTES: usize = 500;
/// What the system keeps for a pipe, and so takes before it blocks.
const PIPE_BYTES: usize = 64 * 1024;
/// Less than the lines of one phase, so that the queue is full for the most part of it.
const QUEUE_BYTES: usize = 256 * 1024;
/// To refuse a line costs less than to take it; a request that waits would never end.
const MAY_TAKE_TIMES: u32 = 3;

// One test, since a process has one subscriber.
#[tokio::test]
async fn requests_go_on_while_nobody_reads_and_every_line_is_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("stdout");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    // Both ends are open, and nobody reads.
    let keeps_open = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let telemetry = spanline::builder("service")
        .log_output(LogOutput::File(pipe.clone()))
        .log_queue_bytes(QUEUE_BYTES)
        .log_reserved_bytes(QUEUE_BYTES / 8)
        .sampler(Sampler::AlwaysOff)
        // The usual port may be taken, which would be one line more.
        .metrics_addr(([127, 0, 0, 1], 0).into())
        .try_init()
        .unwrap();
    let padding: &str = "x".repeat(LINE_BYTES).leak();
    let handler = move || async move {
        tracing::info!(padding, "served");
        "hello"
    };
    let app = Router::new().route("/", get(handler)).layer(spanline::http::server());

    let blocked = median_of_requests(&app).await;
    let ledger = telemetry.ledger().lines;
    assert_exact(ledger);
    assert_eq!(ledger.emitted, REQUESTS as u64);
    assert!(ledger.written as usize * LINE_BYTES <= PIPE_BYTES, "{ledger:?}");
    assert!(ledger.dropped.queue_full > ledger.emitted / 2, "{ledger:?}");

    let reader = File::open(&pipe).unwrap();
    let reader = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.partition::<Vec<_>, _>(|line| line.contains(" served "))
    });
    assert!(telemetry.flush(Duration::from_secs(30)), "{:?}", telemetry.ledger());
    let read = median_of_requests(&app).await;
    assert!(blocked <= read * MAY_TAKE_TIMES, "{blocked:?} while blocked, {read:?} while read");

    telemetry.shutdown();
    drop(keeps_open);
    let (served, notices) = reader.join().unwrap();
    let ledger = telemetry.ledger().lines;
    assert_exact(ledger);
    assert_eq!((ledger.emitted, ledger.queued), (2 * REQUESTS as u64, 0));
    assert_eq!(served.len() as u64, ledger.written);
    let told: u64 = notices.iter().map(|notice| lost(notice)).sum();
    assert_eq!(told, ledger.dropped.total(), "{notices:?}");
}

async fn median_of_requests(app: &Router) -> Duration {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        let response = app.clone().oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        axum::body::to_bytes(response.into_body(), 64).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    times[REQUESTS / 2]
}

fn assert_exact(ledger: LineLedger) {
    let accounted = ledger.written + ledger.queued + ledger.dropped.total();
    assert_eq!(ledger.emitted, accounted, "{ledger:?}");
}

/// How many lines a notice says were lost.
fn lost(notice: &str) -> u64 {
    let (_, rest) = notice.split_once("spanline: dropped ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

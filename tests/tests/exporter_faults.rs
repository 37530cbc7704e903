//! Whatever the receiver of spans does, requests are served, the account is exact, and delivery resumes.

#![allow(clippy::unwrap_used, reason = "a test may")]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use spanline::{LogFormat, LogOutput, Telemetry};
use spanline_tests::{Answering, Receiver, eventually};
use tower_service::Service as _;

const REQUESTS: u64 = 100;
const BURST: u64 = 10_000;

// One test, since a process has one subscriber.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_receiver_reaches_a_request_and_delivery_resumes_after_each() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await.unwrap();
    let file = folder.path().join("service.log");
    let telemetry = spanline::builder("service")
        .otlp_endpoint(receiver.endpoint())
        .log_format(LogFormat::Json)
        .log_output(LogOutput::File(file.clone()))
        .try_init()
        .unwrap();
    let app = Router::new().route("/", get(|| async { "hello" })).layer(spanline::http::server());

    let faults = [
        Answering::With(StatusCode::TOO_MANY_REQUESTS),
        Answering::With(StatusCode::SERVICE_UNAVAILABLE),
        Answering::With(StatusCode::BAD_REQUEST),
        Answering::Hangs,
        Answering::AtLength(10 * 1024 * 1024),
    ];
    let (mut ended, mut refused_before) = (0, 0);
    for fault in faults {
        receiver.answer(fault);
        let asked = receiver.requests();
        serve_requests(&app).await;
        eventually(&format!("a batch meets {fault:?}"), async || {
            if receiver.requests() > asked { Ok(()) } else { Err("no batch yet".to_owned()) }
        })
        .await;
        receiver.answer(Answering::Takes);
        serve_requests(&app).await;
        ended += 2 * REQUESTS;
        let settled = settled(&telemetry, ended).await;
        // What was refused for good is gone, what came after it is not, and no other fault loses any.
        let refused = settled.dropped.rejected;
        let refuses = matches!(fault, Answering::With(StatusCode::BAD_REQUEST));
        let newly_refused = refused - refused_before;
        assert!(
            newly_refused <= REQUESTS && (newly_refused > 0) == refuses,
            "{fault:?}: {settled:?}"
        );
        refused_before = refused;
        assert_eq!(settled.exported + refused, ended, "{fault:?}: {settled:?}");
        assert_eq!(receiver.span_ids().len() as u64, settled.exported);
    }

    let before = telemetry.ledger().spans;
    for number in 0..BURST {
        drop(tracing::info_span!("burst", number));
    }
    let after = settled(&telemetry, ended + BURST).await;
    assert_eq!((after.exported - before.exported, after.dropped), (BURST, before.dropped));

    telemetry.shutdown();
    let mut causes: Vec<_> = warnings(&std::fs::read_to_string(file).unwrap());
    let said = causes.len();
    causes.dedup();
    assert_eq!(causes.len(), said, "once a minute for each cause: {causes:?}");
    assert_eq!(said, 2, "later, and never: {causes:?}");
}

async fn serve_requests(app: &Router) {
    for _ in 0..REQUESTS {
        let response = app.clone().call(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        axum::body::to_bytes(response.into_body(), 64).await.unwrap();
    }
}

/// Waits until nothing is queued any more; the account is exact at every look.
async fn settled(telemetry: &Telemetry, ended: u64) -> spanline::SpanLedger {
    eventually("all spans are settled", async || {
        let ledger = telemetry.ledger().spans;
        assert_eq!(ledger.ended, ledger.exported + ledger.queued + ledger.dropped.total());
        if ledger.queued == 0 && ledger.ended == ended {
            Ok(ledger)
        } else {
            Err(format!("{ledger:?}"))
        }
    })
    .await
}

/// The messages of the sdk's own warnings.
fn warnings(lines: &str) -> Vec<String> {
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut messages: Vec<_> = lines
        .filter(|line| line["level"] == "warn" && line["target"] == "spanline")
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    messages.sort();
    messages
}

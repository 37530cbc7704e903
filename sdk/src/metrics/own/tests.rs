use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::config::MetricsConfig;
use crate::metrics::{Metrics, Polled, http};

fn metrics() -> Metrics {
    let resource = opentelemetry_sdk::Resource::builder_empty().build();
    Metrics::new(&MetricsConfig::default(), &resource)
}

#[test]
fn the_table_of_the_docs_is_the_table_of_the_code() {
    let docs = include_str!("../../docs/metrics.md");
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Histogram => "histogram",
        Kind::Info => "info",
        Kind::Gauge | Kind::UpDownCounter | Kind::Unknown => "gauge",
    };
    let line = |row: &Row| {
        let label = if row.labels.is_empty() { String::new() } else { format!("`{}`", row.labels) };
        format!("| `{}` | {} | {label} | {} |", row.name, kind(row.kind), row.help)
    };
    let in_code: Vec<String> = TABLE.iter().map(line).collect();
    let in_docs: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(in_docs, in_code);
}

#[tokio::test]
async fn every_family_that_is_served_is_in_the_table_and_the_other_way_round() {
    let metrics = metrics();
    metrics.watch_current_runtime();
    metrics.tell_ledgers(|| LedgerReading {
        lines_dropped: vec![("queue_full", 1)],
        spans_dropped: vec![("queue_full", 1)],
        ..LedgerReading::default()
    });
    let requests = metrics.of_requests();
    let asked = http::Asked { method: "GET", scheme: "http", server: None, route: Some("/") };
    requests.server.requests(&asked).begin().end(&http::Ended {
        outcome: http::Outcome::default(),
        duration: Duration::ZERO,
        request_bytes: None,
        response_bytes: None,
        polled: Some(Polled { slow: 1, time: Duration::ZERO, delay: Some(Duration::ZERO) }),
        span: None,
    });
    // The first measurement of the lag.
    while metrics.registry().snapshot().family("spanline_scheduling_lag_max_seconds").is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let snapshot = metrics.registry().snapshot();
    let served: HashSet<_> =
        snapshot.families.iter().map(|family| family.definition.name.clone()).collect();
    let in_table: HashSet<_> = definitions().map(|definition| definition.name).collect();
    assert_eq!(in_table.len(), TABLE.len(), "a name stands twice");
    // The conventions' own are in no table of ours.
    let is_ours = |name: &&String| !name.starts_with("http_") && !name.starts_with("rpc_");
    let unknown: Vec<_> = served.difference(&in_table).filter(is_ours).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // Whether a machine has control groups is its business, and its allocator the service's.
    let may_be_missing = |name: &&String| {
        let starts = |start: &str| name.starts_with(start);
        let of_tokio = ["workers", "alive_", "global_", "worker_busy_", "worker_parks"];
        let is_unstable = starts("spanline_tokio_")
            && !of_tokio.iter().any(|part| starts(&format!("spanline_tokio_{part}")));
        starts("spanline_cgroup_")
            || starts("spanline_jemalloc_")
            || is_unstable && cfg!(not(tokio_unstable))
            // The builder of this test's runtime is not ours.
            || starts("spanline_tokio_poll_time_")
            || starts("spanline_tokio_schedule_latency_")
    };
    let missing: Vec<_> =
        in_table.difference(&served).filter(|name| !may_be_missing(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let ours = snapshot.families.iter().filter(|family| is_ours(&&family.definition.name));
    for family in ours {
        assert!(!family.points.is_empty(), "{}", family.definition.name);
    }
}

#[test]
fn nobody_else_can_take_a_name_of_the_table() {
    let metrics = metrics();
    assert!(metrics.registry().gauge("process_threads", "Help").is_err());
    assert!(metrics.registry().counter("spanline_lines_written", "Help").is_err());
}

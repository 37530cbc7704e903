//! A port that is taken is one warning with the remedy, and the service runs on.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::TcpListener;
use std::time::Duration;

use spanline::{LogFormat, LogOutput};

#[test]
fn a_taken_port_is_told_once_and_nothing_else_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let telemetry = spanline::builder("checkout")
        .log_format(LogFormat::Json)
        .log_output(LogOutput::File(file.clone()))
        .otlp_endpoint("http://127.0.0.1:9")
        .metrics_addr(address)
        .shutdown_timeout(Duration::from_secs(1))
        .init();
    assert_eq!(telemetry.metrics_addr(), None);
    telemetry.registry().counter("orders", "Orders").unwrap().inc();
    assert!(telemetry.registry().to_openmetrics().contains("orders_total 1\n"));
    tracing::info!("runs on");
    telemetry.shutdown();
    let lines = std::fs::read_to_string(&file).unwrap();
    let warnings: Vec<_> = lines.lines().filter(|line| line.contains("WARN")).collect();
    let told: Vec<_> = lines.lines().filter(|line| line.contains(&address.to_string())).collect();
    assert_eq!(told.len(), 1, "{warnings:?}");
    assert!(told[0].contains("OTEL_EXPORTER_PROMETHEUS_PORT"), "{told:?}");
    assert!(lines.contains("runs on"), "{lines}");
}

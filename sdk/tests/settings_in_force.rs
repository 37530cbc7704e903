//! What the environment says is in force in a process: each case is a process of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROLE: &str = "SPANLINE_TEST_SERVICE";

/// What a service has printed, and what became of its spans.
struct Told {
    lines: Vec<Value>,
    ended: u64,
    exported: u64,
}

/// Runs [`a_service`] with these variables, and no others.
fn service(vars: &[(&str, &str)]) -> Told {
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
    service_with(&vars)
}

fn service_with(vars: &[(&str, &OsStr)]) -> Told {
    let directory = tempfile::tempdir().unwrap();
    let (lines, ledger) = (directory.path().join("lines"), directory.path().join("ledger"));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_service", "--nocapture"])
        .env_clear()
        .env(ROLE, &ledger)
        .env("SPANLINE_LOG_FORMAT", "json")
        .env("SPANLINE_LOG_OUTPUT", &lines)
        .env("OTEL_METRICS_EXPORTER", "none")
        .envs(vars.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |file: &Path| std::fs::read_to_string(file).unwrap();
    let ledger = text(&ledger);
    let (ended, exported) = ledger.split_once(' ').unwrap();
    Told {
        lines: text(&lines).lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        ended: ended.parse().unwrap(),
        exported: exported.parse().unwrap(),
    }
}

/// The role of the process that [`service`] starts; in the test's own there is nothing to do.
#[test]
fn a_service() {
    let Some(ledger) = std::env::var_os(ROLE) else { return };
    let telemetry = spanline::init("checkout");
    tracing::info_span!("order", sku = 12).in_scope(|| tracing::info!("in order"));
    tracing::info!(target: "spanline_demo", "of the service");
    tracing::info!(target: "spanline", "of the sdk");
    telemetry.shutdown();
    let spans = telemetry.ledger().spans;
    std::fs::write(ledger, format!("{} {}", spans.ended, spans.exported)).unwrap();
}

impl Told {
    fn line(&self, message: &str) -> Option<&Value> {
        self.lines.iter().find(|line| line["message"] == message)
    }

    fn warnings(&self) -> Vec<String> {
        let warnings = self.lines.iter().filter(|line| line["level"] == "warn");
        warnings.map(Value::to_string).collect()
    }
}

#[test]
fn a_console_exporter_prints_each_span_as_a_line_with_its_own_ids() {
    let told = service(&[("OTEL_TRACES_EXPORTER", "console")]);
    let line = told.line("in order").unwrap();
    let span = told.line("order").unwrap();
    assert_eq!(span["target"], "spanline::span");
    assert_eq!((&span["trace_id"], &span["span_id"]), (&line["trace_id"], &line["span_id"]));
    assert_eq!(span["attributes"], "sku=12");
    assert_eq!(span["kind"], "Internal");
    assert!(span["duration_us"].is_u64() && span["start"].is_string(), "{span}");
    assert_eq!((told.ended, told.exported), (1, 1));
    assert_eq!(told.warnings(), [""; 0]);
}

#[test]
fn a_console_exporter_prints_each_sample_as_a_line() {
    let told = service(&[("OTEL_METRICS_EXPORTER", "console"), ("OTEL_TRACES_EXPORTER", "none")]);
    let samples = told.lines.iter().filter(|line| line["target"] == "spanline::metric");
    let samples: Vec<&str> = samples.map(|line| line["message"].as_str().unwrap()).collect();
    let is_there = |family| samples.iter().any(|sample| sample.starts_with(family));
    assert!(is_there("process_cpu_seconds_total "), "{samples:#?}");
    assert!(is_there("spanline_lines_written_total "), "{samples:#?}");
    assert!(!is_there("#"), "what describes a family is left out");
    assert_eq!(told.warnings(), [""; 0]);
}

#[test]
fn a_disabled_sdk_makes_no_spans_and_prints_lines_all_the_same() {
    let told = service(&[("OTEL_SDK_DISABLED", "true")]);
    let line = told.line("in order").unwrap();
    assert_eq!(line.get("trace_id"), None, "{line}");
    assert_eq!((told.ended, told.exported), (0, 0));
    assert_eq!(told.warnings(), [""; 0]);
}

#[test]
fn the_sdk_has_a_level_of_its_own_which_is_not_the_services() {
    let silent = service(&[("OTEL_LOG_LEVEL", "none"), ("OTEL_TRACES_EXPORTER", "none")]);
    assert!(silent.line("of the sdk").is_none() && silent.line("of the service").is_some());
    let loud =
        [("OTEL_LOG_LEVEL", "info"), ("RUST_LOG", "error"), ("OTEL_TRACES_EXPORTER", "none")];
    let loud = service(&loud);
    assert!(loud.line("of the sdk").is_some() && loud.line("of the service").is_none());
}

#[test]
fn everything_that_is_wrong_is_told_and_the_service_runs_on() {
    let wrong = [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization hunter2"),
        // Nobody is there, and nobody need wait for long.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
    ];
    let told = service(&wrong);
    let warnings = told.warnings();
    for (name, _) in &wrong[..4] {
        let named = |warning: &&String| warning.contains(name) && warning.contains("accepted: ");
        assert_eq!(warnings.iter().filter(named).count(), 1, "{name}: {warnings:#?}");
    }
    assert!(!warnings.concat().contains("hunter2"), "{warnings:#?}");
    assert!(told.line("in order").unwrap()["trace_id"].is_string());
}

#[cfg(feature = "tls")]
#[test]
fn a_receiver_without_tls_is_complained_of_with_the_remedy() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 64]));
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let told = service(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let warnings = told.warnings().concat();
    assert!(warnings.contains("cannot be trusted"), "{warnings}");
    assert!(warnings.contains("seems to speak no TLS; write http://"), "{warnings}");
}

#[test]
fn a_value_that_is_no_text_is_named_as_any_other_that_cannot_be_used() {
    let odd = OsStr::from_bytes(b"10.0.0.\xff");
    let told = service_with(&[("NODE_IP", odd), ("OTEL_TRACES_EXPORTER", odd)]);
    let named = |name: &str| {
        told.lines
            .iter()
            .any(|line| line["message"].as_str().is_some_and(|text| text.contains(name)))
    };
    assert!(named("NODE_IP") && named("OTEL_TRACES_EXPORTER"), "{:#?}", told.lines);
}

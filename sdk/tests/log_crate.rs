//! The records of the `log` crate are lines like all others, with their key-values, typed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::error::Error;
use std::fmt;

use serde_json::json;
use spanline::{LogFormat, LogOutput, testing};

/// Logs while it is printed.
struct Chatty;

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(depth = 2; "inside");
        f.write_str("chatty")
    }
}

#[derive(Debug)]
struct Failed(std::num::ParseIntError);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot read the price")
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn key_values_are_fields_with_the_type_that_they_have() {
    let telemetry = testing::start();
    let failed = Failed("twelve".parse::<i32>().unwrap_err());
    let (nothing, huge): (Option<u32>, u128) = (None, u128::MAX);
    log::info!(
        sku = 12, change = -3_i8, ratio = 0.5, is_new = true, user = "ada", letter = 'x', nothing, huge,
        shown:% = "100%", list:? = [1, 2], failed:err = failed, message = "not the message", level = 9;
        "added {}", "item"
    );
    let line = telemetry.line("added item");
    let expected = json!({
        "sku": 12, "change": -3, "ratio": 0.5, "is_new": true, "user": "ada", "letter": "x",
        "shown": "100%", "list": "[1, 2]", "field_message": "not the message", "field_level": 9,
        "failed": "cannot read the price: invalid digit found in string",
    });
    let mut fields = line.fields.clone();
    assert!(line.text.contains(&format!("\"huge\":{huge}")), "{line}");
    fields.remove("huge");
    assert_eq!(fields, *expected.as_object().unwrap(), "{line}");
}

#[test]
fn target_level_place_and_span_are_those_of_the_record() {
    let telemetry = testing::start_with(spanline::builder("legacy").log_location(true));
    tracing::info_span!("around")
        .in_scope(|| log::warn!(target: "legacy::cart", sku = 12; "running out"));
    let line = telemetry.line("running out");
    assert!(line.is_in(&telemetry.span("around")));
    assert_eq!((&*line.target, line.level), ("legacy::cart", tracing::Level::WARN));
    assert_eq!(
        line["location"].as_str().unwrap().split(':').next(),
        Some("sdk/tests/log_crate.rs")
    );
    assert_eq!(line["sku"], 12);
}

#[test]
fn the_filter_of_lines_is_theirs_too() {
    let filter = "info,legacy::cart=debug,legacy::noise=off";
    let telemetry = testing::start_with(spanline::builder("legacy").log_filter(filter));
    log::debug!(target: "legacy", n = 1; "not this");
    log::debug!(target: "legacy::cart", n = 2; "this");
    log::error!(target: "legacy::noise", n = 3; "nor this");
    let numbers: Vec<_> = telemetry.lines().iter().map(|line| line["n"].clone()).collect();
    assert_eq!(numbers, [2]);
    assert!(log::log_enabled!(target: "legacy::cart", log::Level::Debug));
    assert!(!log::log_enabled!(target: "legacy", log::Level::Debug));
}

/// What is logged while another record is logged has its own values, and leaves those of the other alone.
#[test]
fn a_value_that_logs_mixes_nothing_up() {
    let telemetry = testing::start();
    log::info!(depth = 1, chatty:% = Chatty; "outside");
    log::info!(depth = 1; "around {Chatty}");
    log::info!("no values");
    tracing::info!("nor here");
    let outside = telemetry.line("outside");
    assert_eq!((&outside["depth"], &outside["chatty"]), (&json!(1), &json!("chatty")));
    assert_eq!(telemetry.line("around chatty").fields, *json!({"depth": 1}).as_object().unwrap());
    let inside = telemetry.lines().into_iter().filter(|line| line.message == "inside");
    assert!(inside.clone().count() > 0 && inside.clone().all(|line| line["depth"] == 2));
    for message in ["no values", "nor here"] {
        assert!(telemetry.line(message).fields.is_empty());
    }
}

#[test]
fn flush_returns_when_the_lines_so_far_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("service.log");
    let telemetry = spanline::builder("legacy")
        .log_format(LogFormat::Logfmt)
        .log_output(LogOutput::File(file.clone()))
        .metrics_addr(([127, 0, 0, 1], 0).into())
        .init();
    for number in 0..1_000 {
        log::info!(number; "written");
    }
    log::logger().flush();
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(written.matches(" msg=written number=").count(), 1_000);
    assert_eq!(telemetry.ledger().lines.queued, 0);
}

//! The lines that the sdk writes are understood by the agent: ids, level and service, and nothing forged.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use serde::Deserialize;
use spanline_agent::parse::ContainerParser;
use spanline_agent::record::{Body, LogRecord};

const CASES: &str = include_str!("../../tests/fixtures/log-lines/cases.json");

#[derive(Deserialize)]
struct Case {
    name: String,
    level: String,
    service_name: String,
    span: Option<Span>,
    lines: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Span {
    trace_id: String,
    span_id: String,
    sampled: bool,
}

fn parse(lines: &[Bytes]) -> Vec<LogRecord> {
    let mut parser = ContainerParser::new(Path::new("/var/log/pods/ns_pod_uid/app/0.log"));
    let mut records = Vec::new();
    for line in lines {
        parser.line(line, 1, &mut records);
    }
    parser.flush(1, &mut records);
    records
}

#[test]
fn every_format_of_every_case_is_understood() {
    for case in serde_json::from_str::<Vec<Case>>(CASES).unwrap() {
        for (format, line) in &case.lines {
            let place = format!("{}, {format}", case.name);
            let entry = format!("2026-11-23T17:28:00.123456789Z stderr F {line}");
            let records = parse(&[entry.into()]);
            let [record] = records.as_slice() else { panic!("{place}: {records:?}") };
            let Body::Text(text) = &record.body else { panic!("{place}: {:?}", record.body) };
            assert_eq!(text.as_str(), line, "{place}");
            assert_eq!(record.time_unix_nano, 1_795_454_880_123_456_789, "{place}");
            assert_eq!(record.get("log.iostream"), Some("stderr"), "{place}");

            let trace_id = record.trace_id.map(|id| id.to_string());
            let span_id = record.span_id.map(|id| id.to_string());
            let span = case.span.as_ref();
            assert_eq!(trace_id.as_deref(), span.map(|span| &*span.trace_id), "{place}");
            assert_eq!(span_id.as_deref(), span.map(|span| &*span.span_id), "{place}");
            if matches!(&**format, "python" | "json") {
                let sampled = span.is_some_and(|span| span.sampled);
                assert_eq!(record.flags, u32::from(sampled), "{place}");
            }
            let service_name = (format == "python").then_some(&*case.service_name);
            assert_eq!(record.get("service.name"), service_name, "{place}");
            let number = match &*case.level {
                "ERROR" => 17,
                "WARN" => 13,
                "INFO" => 9,
                // Python has no level below DEBUG.
                "TRACE" if format != "python" => 1,
                _ => 5,
            };
            assert_eq!(record.severity_number, number, "{place}");
        }
    }
}

/// Lines that the sdk made of hostile strings. The first of each file is in a span whose ids are 1, the second is
/// in none, the third in one whose ids are 3, and so on.
const HOSTILE: [(&str, &str); 8] = [
    ("text", include_str!("../../tests/fixtures/hostile-strings/text.log")),
    ("winston", include_str!("../../tests/fixtures/hostile-strings/winston.log")),
    ("python", include_str!("../../tests/fixtures/hostile-strings/python.log")),
    ("json", include_str!("../../tests/fixtures/hostile-strings/json.log")),
    ("logfmt", include_str!("../../tests/fixtures/hostile-strings/logfmt.log")),
    ("template", include_str!("../../tests/fixtures/hostile-strings/template.log")),
    ("own_json", include_str!("../../tests/fixtures/hostile-strings/own_json.log")),
    ("own_text", include_str!("../../tests/fixtures/hostile-strings/own_text.log")),
];

#[test]
fn the_ids_of_lines_made_of_hostile_strings_are_the_spans_own_or_none() {
    for (format, lines) in HOSTILE {
        let texts: Vec<&str> = lines.split_terminator('\n').collect();
        assert!(texts.len() >= 200, "{format}: {} lines", texts.len());
        let entry = |text: &&str| format!("2026-11-23T17:28:00.123456789Z stdout F {text}").into();
        let records = parse(&texts.iter().map(entry).collect::<Vec<Bytes>>());
        assert_eq!(records.len(), texts.len(), "{format}");
        for (number, (record, text)) in (1..).zip(records.iter().zip(texts)) {
            let Body::Text(body) = &record.body else { panic!("{format}: {:?}", record.body) };
            assert_eq!(body.as_str(), text, "{format}");
            // The format `own_text` writes no ids.
            let is_in_a_span = number % 2 == 1 && format != "own_text";
            let ids =
                [record.trace_id.map(|id| id.to_string()), record.span_id.map(|id| id.to_string())];
            let expected = [format!("{number:032x}"), format!("{number:016x}")];
            assert_eq!(ids, expected.map(|id| is_in_a_span.then_some(id)), "{format}: {text}");
            assert_eq!(record.time_unix_nano, 1_795_454_880_123_456_789, "{format}: {text}");
        }
    }
}

#[test]
fn carriage_returns_and_invalid_text_stay_readable() {
    let time = "2026-11-23T17:28:00Z";
    let crlf = Bytes::from(format!("{time} stdout F hello\r"));
    let invalid = Bytes::from([format!("{time} stdout F caf").as_bytes(), b"\xe9"].concat());
    let texts: Vec<_> = parse(&[crlf, invalid]).into_iter().map(|record| record.body).collect();
    let expected = ["hello", "caf\u{fffd}"].map(|text| Body::Text(text.to_owned().into()));
    assert_eq!(texts, expected);
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let entry = (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40));
    let entry = entry.prop_map(|(stdout, partial, text)| {
        let (stream, tag) =
            (if stdout { "stdout" } else { "stderr" }, if partial { "P" } else { "F" });
        [format!("2026-11-23T17:28:00.1Z {stream} {tag} ").as_bytes(), &text].concat()
    });
    let pieces = prop::sample::select(vec![
        "trace_id=",
        "span_id=",
        "[",
        "]",
        "{\"",
        "\":",
        "\"",
        "\\",
        "resource.service.name=",
        " ",
        "level=",
        "0af7651916cd43dd8448eb211c80319c",
        "{\"log\":\"",
        "}",
        "stdout F ",
        "2026-11-23T",
    ]);
    let mixed =
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![prop::collection::vec(any::<u8>(), 0..80), entry, mixed]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_parser_panic_or_lose_a_whole_line(
        lines in prop::collection::vec(any_line(), 0..20)
    ) {
        let lines: Vec<Bytes> = lines.into_iter().map(Bytes::from).collect();
        let partial = |line: &&Bytes| {
            line.starts_with(b"2026-11-23T17:28:00.1Z std") && line.get(29..31) == Some(b" P")
        };
        let whole = lines.len() - lines.iter().filter(partial).count();
        let records = parse(&lines);
        prop_assert!((whole..=lines.len()).contains(&records.len()), "{} of {whole}", records.len());
    }
}

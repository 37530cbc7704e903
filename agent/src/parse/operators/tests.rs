use std::collections::HashMap;

use super::*;
use crate::config::{Config, LineParser, Receiver};
use crate::parse::LineLog;
use crate::record::{Body, LogRecord, Resource, find_text};

/// The records of a file's lines, by the operators of `yaml`.
fn records(yaml: &str, path: &str, lines: &[&str]) -> Vec<(Arc<Resource>, LogRecord)> {
    let indented = yaml.replace('\n', "\n    ");
    let yaml = format!(
        "receivers:\n  filelog:\n    include: ['/p/*/*/*.log']\n    start_at: beginning\n    \
         include_file_name: false\n    include_file_path: true\n    {indented}\nexporters: {{spanline_store: \
         {{directory: d}}}}\nservice: {{pipelines: {{logs: {{receivers: [filelog], exporters: [spanline_store]}}}}}}\n"
    );
    let config = Config::from_yaml(&yaml, "test", &HashMap::new())
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let Receiver::Filelog(filelog) = &config.receivers[0].settings else { panic!("{config:?}") };
    let LineParser::Operators(operators) = &filelog.parser else { panic!("{filelog:?}") };
    let path = std::path::Path::new(path);
    let mut log = LineLog::new(path, false, true, Arc::clone(operators));
    lines.iter().filter_map(|line| log.line(line.as_bytes().to_vec().into(), 7)).collect()
}

fn body(record: &LogRecord) -> &str {
    match &record.body {
        Body::Text(text) => text.as_str(),
        Body::Value(value) => panic!("{value:?}"),
    }
}

const PATH: &str = "/p/shop_web-1_0a1b2c3d-0000-0000-0000-000000000001/app/3.log";
const AT: u64 = 1_795_454_880_123_456_789;

/// What the Collector's own chart and the seed do with pod logs.
const SEED: &str = include_str!("../../../../tests/fixtures/collector-config/seed-operators.yaml");

#[test]
fn the_seeds_operators_read_all_three_runtimes() {
    let lines = [
        "2026-11-23T17:28:00.123456789Z stderr F started",
        "2026-11-23T18:28:00.123456789+01:00 stdout P half",
        r#"{"log":"hello\n","stream":"stdout","time":"2026-11-23T17:28:00.123456789Z"}"#,
    ];
    let records = records(SEED, PATH, &lines);
    assert_eq!(records.len(), 3);
    for ((resource, record), line) in records.iter().zip(lines) {
        assert_eq!(record.time_unix_nano, AT, "{line}");
        for (key, expected) in [
            ("filename", PATH),
            ("container", "app"),
            ("namespace", "shop"),
            ("pod", "web-1"),
            ("cluster", "minikube"),
        ] {
            assert_eq!(resource.get(key), Some(expected), "{key} of {line}");
        }
        // The parsers jump over the operator that would move attributes.log to the body.
        assert_eq!(body(record), line);
        assert_eq!(record.get("log.file.path"), None);
        assert_eq!(record.get("restart_count"), Some("3"));
    }
    let attribute = |at: usize, key| find_text(&records[at].1.attributes, key);
    assert_eq!([attribute(0, "logtag"), attribute(0, "log")], [Some("F"), Some("started")]);
    assert_eq!([attribute(1, "logtag"), attribute(1, "stream")], [Some("P"), Some("stdout")]);
    assert_eq!(attribute(2, "log"), Some("hello\n"));
    assert!(Arc::ptr_eq(&records[0].0, &records[2].0), "one writer has one resource");
}

#[test]
fn a_line_that_no_route_takes_is_dropped_and_one_that_a_parser_cannot_read_goes_on() {
    let yaml = "operators:\n- {type: router, routes: [{expr: 'body matches \"^a\"', output: p}]}\n\
                - {type: regex_parser, id: p, regex: '^a(?P<n>\\d+)$'}";
    let records = records(yaml, PATH, &["b1", "a12", "ax"]);
    let found: Vec<_> = records.iter().map(|(_, record)| (body(record), record.get("n"))).collect();
    assert_eq!(found, [("a12", Some("12")), ("ax", None)]);
}

#[test]
fn on_error_drop_drops_what_cannot_be_read() {
    let yaml = "operators:\n- {type: json_parser, on_error: drop, parse_to: body}";
    let records = records(yaml, PATH, &["{\"a\": {\"b\": 1}}", "no json"]);
    assert_eq!(records.len(), 1);
}

#[test]
fn fields_are_added_copied_moved_removed_and_retained() {
    let yaml = "operators:\n- {type: add, field: attributes.n, value: 5}\n- {type: copy, from: body, to: 'attributes[\"a.b\"].c'}\n\
                - {type: move, from: 'attributes[\"log.file.path\"]', to: resource.file}\n\
                - {type: add, field: attributes.gone, value: x}\n- {type: remove, field: attributes.gone}\n\
                - {type: add, id: text, field: attributes.t, value: '5'}\n\
                - {type: retain, fields: [attributes.n, 'attributes[\"a.b\"]']}\n- {type: noop}";
    let records = records(
        &yaml.replace(
            "- {type: add, field: attributes.gone",
            "- {type: add, id: g, field: attributes.gone",
        ),
        PATH,
        &["hello"],
    );
    let (resource, record) = &records[0];
    assert_eq!(resource.get("file"), Some(PATH));
    let keys: Vec<_> = record.attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(keys, ["n", "a.b"]);
    assert_eq!(record.attributes[0].value, Some((&crate::config::Constant::Int(5)).into()));
    assert!(format!("{:?}", record.attributes[1]).contains("hello"), "{record:?}");
}

#[test]
fn times_are_read_as_both_kinds_of_layout_write_them() {
    let read = |kind: &str, layout: &str, text: &str| {
        let yaml = format!(
            "operators:\n- {{type: regex_parser, regex: '^(?P<t>.*)$', timestamp: {{parse_from: attributes.t, layout_type: \
             {kind}, layout: '{layout}'}}}}"
        );
        records(&yaml, PATH, &[text])[0].1.time_unix_nano
    };
    let second = AT / 1_000_000_000 * 1_000_000_000;
    for (kind, layout, text, expected) in [
        ("strptime", "%Y-%m-%dT%H:%M:%S.%LZ", "2026-11-23T17:28:00.123456789Z", AT),
        ("strptime", "%d/%b/%Y:%H:%M:%S %z", "23/Nov/2026:18:28:00 +0100", second),
        ("strptime", "%b %e %Y %I:%M:%S %p", "Nov 23 2026 05:28:00 PM", second),
        ("strptime", "%F %T", "2026-11-23 17:28:00", second),
        ("gotime", "2006-01-02T15:04:05.999999999Z07:00", "2026-11-23T17:28:00.123456789Z", AT),
        ("gotime", "2006-01-02T15:04:05Z07:00", "2026-11-23T17:28:00.123456789Z", AT),
        ("gotime", "Mon Jan _2 15:04:05 2006", "Mon Nov 23 17:28:00 2026", second),
        ("gotime", "02 Jan 06 15:04 MST", "23 Nov 26 17:28 UTC", second),
        ("strptime", "%Y-%m-%d", "2026-11-23 and more", 0),
        ("strptime", "%Y-%m-%d", "2026-02-30", 0),
        ("gotime", "2006-01-02", "not a time", 0),
    ] {
        assert_eq!(read(kind, layout, text), expected, "{layout} {text}");
    }
}

use std::collections::HashMap;

use super::*;
use crate::config::{Config, LineParser, Receiver};
use crate::parse::LineLog;
use crate::record::{Body, LogRecord, Resource, find_text};

/// The receiver's settings, as `yaml` has them.
fn filelog(yaml: &str) -> crate::config::Filelog {
    let indented = yaml.replace('\n', "\n    ");
    let yaml = format!(
        "receivers:\n  filelog:\n    include: ['/p/*/*/*.log']\n    start_at: beginning\n    \
         include_file_name: false\n    include_file_path: true\n    {indented}\nexporters: {{spanline_store: \
         {{directory: d}}}}\nservice: {{pipelines: {{logs: {{receivers: [filelog], exporters: [spanline_store]}}}}}}\n"
    );
    let config = Config::from_yaml(&yaml, "test", &HashMap::new())
        .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let Receiver::Filelog(filelog) = config.receivers[0].settings.clone() else {
        panic!("{config:?}")
    };
    *filelog
}

/// The records of a file's lines, by the operators of `yaml`.
fn records(yaml: &str, path: &str, lines: &[&str]) -> Vec<(Arc<Resource>, LogRecord)> {
    let filelog = filelog(yaml);
    let LineParser::Operators(operators) = &filelog.parser else { panic!("{filelog:?}") };
    let mut log = LineLog::new(path.as_ref(), &filelog.described, Arc::clone(operators));
    let mut records = Vec::new();
    for line in lines {
        log.line(line.as_bytes().to_vec().into(), 7, &mut records);
    }
    log.flush(&mut records);
    records
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

fn bodies(yaml: &str, lines: &[&str]) -> Vec<String> {
    records(yaml, PATH, lines).iter().map(|(_, record)| body(record).to_owned()).collect()
}

#[test]
fn container_reads_all_three_runtimes() {
    let lines = [
        "2026-11-23T17:28:00.123456789Z stderr F started  ",
        "2026-11-23T18:28:00.123456789+01:00 stdout F ",
        r#"{"log":"hello\n","stream":"stdout","time":"2026-11-23T17:28:00.123456789Z","attrs":{"a":"b"}}"#,
        "",
        "no entry",
    ];
    let records = records("operators: [{type: container}]", PATH, &lines);
    let found: Vec<_> =
        records.iter().map(|(_, r)| (body(r), r.get("log.iostream"), r.get("logtag"))).collect();
    let expected = [
        ("started", Some("stderr"), Some("F")),
        ("", Some("stdout"), Some("F")),
        ("hello\n", Some("stdout"), None),
        ("no entry", None, None),
    ];
    assert_eq!(found, expected);
    for (resource, record) in &records[..3] {
        assert_eq!(record.time_unix_nano, AT);
        assert_eq!(record.get("log.file.path"), Some(PATH));
        assert_eq!(resource.get("k8s.pod.uid"), Some("0a1b2c3d-0000-0000-0000-000000000001"));
        assert_eq!(resource.get("k8s.container.restart_count"), Some("3"));
    }
    assert!(format!("{:?}", records[2].1.attributes).contains("attrs"));
    assert!(Arc::ptr_eq(&records[0].0, &records[2].0), "one writer has one resource");
}

#[test]
fn container_is_told_a_format_a_size_and_no_metadata() {
    let crio = "2026-11-23T18:28:00.123456789+01:00 stdout F a";
    let containerd = "2026-11-23T17:28:00.123456789Z stdout F a";
    for (format, line, expected) in [
        ("crio", crio, "a"),
        ("crio", containerd, containerd),
        ("containerd", containerd, "a"),
        ("containerd", crio, crio),
        ("docker", crio, crio),
    ] {
        let yaml = format!(
            "operators: [{{type: container, format: {format}, add_metadata_from_filepath: false}}]"
        );
        let records = records(&yaml, PATH, &[line]);
        assert_eq!((body(&records[0].1), records[0].0.attributes.len()), (expected, 0), "{format}");
    }
    let part = |tag: &str, text: &str| format!("2026-11-23T17:28:00Z stdout {tag} {text}");
    let parts = [part("P", "12345"), part("P", "67890"), part("P", "abcde"), part("F", "f")];
    let lines = parts.each_ref().map(String::as_str);
    let sized = "operators: [{type: container, max_log_size: 8}]";
    assert_eq!(bodies(sized, &lines), ["1234567890", "abcdef"]);
    let elsewhere = "operators: [{type: move, from: body, to: attributes.line}, {type: container, parse_from: attributes.line}]";
    assert_eq!(bodies(elsewhere, &[containerd]), ["a"]);
}

#[test]
fn a_character_that_a_runtime_cut_in_two_is_whole_again() {
    let mut first = b"2026-11-23T17:28:00Z stdout P caf".to_vec();
    first.push(0xc3);
    let mut second = b"2026-11-23T17:28:00Z stdout F ".to_vec();
    second.extend([0xa9, 0xff]);
    let filelog = filelog("operators: [{type: container}]");
    let LineParser::Operators(operators) = &filelog.parser else { panic!("{filelog:?}") };
    let mut log = LineLog::new(PATH.as_ref(), &filelog.described, Arc::clone(operators));
    let mut records = Vec::new();
    assert_eq!(log.line(first.into(), 7, &mut records), crate::parse::Held::ThisLine);
    assert_eq!(log.line(second.into(), 7, &mut records), crate::parse::Held::Nothing);
    assert_eq!(body(&records[0].1), "caf\u{e9}\u{fffd}");
}

#[test]
fn key_value_parser_parts_pairs_as_it_is_told() {
    let parsed = |yaml: &str, line: &str| {
        let yaml = format!("operators: [{{type: key_value_parser, {yaml}}}]");
        let records = records(&yaml, PATH, &[line]);
        records[0].1.get("b").map(str::to_owned)
    };
    assert_eq!(parsed("parse_from: body", "a=1 b=\"two words\"").as_deref(), Some("two words"));
    assert_eq!(parsed("delimiter: ':', pair_delimiter: ';'", "a:1;b: c ").as_deref(), Some("c"));
    assert_eq!(parsed("parse_to: resource", "b=1"), None);
    assert_eq!(parsed("on_error: send_quiet", "a b=1"), None);
}

#[test]
fn json_parser_keeps_whole_numbers_whole_where_it_is_told() {
    let value = |yaml: &str| {
        let yaml = format!("operators: [{{type: json_parser, {yaml}}}]");
        format!("{:?}", records(&yaml, PATH, &["{\"a\": [5, 1.5]}"])[0].1.attributes)
    };
    assert!(value("parse_ints: true").contains("IntValue(5)"));
    let floating = value("parse_ints: false");
    assert!(
        floating.contains("DoubleValue(5.0)") && floating.contains("DoubleValue(1.5)"),
        "{floating}"
    );
}

#[test]
fn a_parsers_blocks_set_time_severity_ids_and_body() {
    let yaml = "operators:\n- {type: json_parser, body: attributes.msg, timestamp: {parse_from: attributes.t, layout_type: epoch, layout: ms},\n  \
                severity: {parse_from: attributes.l, mapping: {fatal: [bad, {min: 90, max: 95}], info: 2xx}},\n  \
                trace: {trace_id: {parse_from: attributes.i}, span_id: {parse_from: attributes.s}, trace_flags: {parse_from: attributes.f}}}";
    let line = r#"{"t":1795454880123,"l":"BAD","msg":"m","i":"0af7651916cd43dd8448eb211c80319c","s":"00f067aa0ba902b7","f":"01"}"#;
    let record = &records(yaml, PATH, &[line])[0].1;
    assert_eq!(body(record), "m");
    assert_eq!(record.time_unix_nano, 1_795_454_880_123_000_000);
    assert_eq!((record.severity_number, record.severity_text.as_str()), (21, "BAD"));
    assert_eq!(record.trace_id.unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(record.span_id.unwrap().to_string(), "00f067aa0ba902b7");
    assert_eq!(record.flags, 1);
    for (level, number) in [("92", 21), ("204", 9), ("\"93\"", 21), ("96", 0), ("\"warn2\"", 14)] {
        let record = &records(yaml, PATH, &[&line.replace("\"BAD\"", level)])[0].1;
        assert_eq!(record.severity_number, number, "{level}");
    }
    // Each block is tried, whether another one fits or not.
    let record = &records(yaml, PATH, &[&line.replace("1795454880123", "\"soon\"")])[0].1;
    assert_eq!((record.time_unix_nano, record.severity_number, record.flags), (0, 21, 1));
    let record = &records(yaml, PATH, &[&line.replace("0af765", "")])[0].1;
    assert_eq!(record.trace_id, None, "an id of the wrong length leads nowhere");
}

#[test]
fn severities_have_presets_and_names_of_their_own() {
    let severity = |settings: &str, line: &str| {
        let yaml = format!("operators: [{{type: severity_parser, parse_from: body, {settings}}}]");
        let record = records(&yaml, PATH, &[line]).remove(0).1;
        (record.severity_number, record.severity_text)
    };
    let expected = |number, text: &str| (number, text.to_owned());
    assert_eq!(severity("preset: default", "Warning"), expected(13, "Warning"));
    assert_eq!(severity("preset: otel", "Warning"), expected(0, "Warning"));
    assert_eq!(severity("preset: none", "error"), expected(0, "error"));
    assert_eq!(severity("overwrite_text: true", "err3"), expected(19, "ERROR3"));
    assert_eq!(severity("overwrite_text: true", "17"), expected(17, "ERROR"));
}

#[test]
fn times_have_zones_epochs_and_years_that_are_not_written() {
    let at = |settings: &str, line: &str| {
        let yaml = format!("operators: [{{type: time_parser, parse_from: body, {settings}}}]");
        records(&yaml, PATH, &[line])[0].1.time_unix_nano
    };
    let second = AT / 1_000_000_000 * 1_000_000_000;
    let berlin = "layout: '%F %T', location: Europe/Berlin";
    assert_eq!(at(berlin, "2026-11-23 18:28:00"), second);
    assert_eq!(at("layout: '%F %T %Z'", "2026-11-23 18:28:00 CET"), second);
    for (layout, text, expected) in [
        ("s", "1795454880", second),
        ("ns", "1795454880123456789", AT),
        ("s.ns", "1795454880.123456789", AT),
        ("s.ms", "1795454880.123", second + 123_000_000),
        ("s", "soon", 0),
        ("s.ms", "1", 0),
        ("s", "99999999999999", 0),
    ] {
        assert_eq!(
            at(&format!("layout_type: epoch, layout: {layout}"), text),
            expected,
            "{layout} {text}"
        );
    }
    let month = at("layout: '%b %e %T', location: UTC", "Jan  5 10:00:00");
    let now = jiff::Timestamp::now().as_nanosecond();
    let age_days = (now - i128::from(month)) / 86_400_000_000_000;
    assert!((-7..=366).contains(&age_days), "{month}");
}

#[test]
fn recombine_puts_entries_together_within_its_bounds() {
    let combine = |settings: &str, lines: &[&str]| {
        let yaml = format!("operators: [{{type: recombine, combine_field: body, {settings}}}]");
        bodies(&yaml, lines)
    };
    let first = "is_first_entry: 'body startsWith \"#\"'";
    assert_eq!(combine(first, &["x", "#1", "a", "#2"]), ["x", "#1\na", "#2"]);
    let last = "is_last_entry: 'body endsWith \";\"', combine_with: ''";
    assert_eq!(combine(last, &["a", "b;", "c"]), ["ab;", "c"]);
    assert_eq!(combine(&format!("{last}, max_batch_size: 2"), &["a", "b", "c;"]), ["ab", "c;"]);
    assert_eq!(
        combine(&format!("{last}, max_log_size: 2"), &["aa", "b", "c", "d;"]),
        ["aab", "cd;"]
    );
    let unmatched =
        "is_first_entry: 'body startsWith \"#\"', combine_with: '', max_unmatched_batch_size: 2";
    assert_eq!(combine(unmatched, &["a", "b", "c", "#", "d", "e"]), ["ab", "c", "#de"]);
    let by =
        "is_last_entry: 'body endsWith \";\"', combine_with: '', source_identifier: attributes.s";
    let yaml = format!(
        "operators:\n- {{type: regex_parser, regex: '^(?P<s>.)'}}\n- {{type: recombine, combine_field: body, {by}, max_sources: 2}}"
    );
    assert_eq!(bodies(&yaml, &["a1", "b1", "a2;", "b2;"]), ["a1a2;", "b1b2;"]);
    assert_eq!(bodies(&yaml, &["a1", "b1", "c1"]), ["a1", "b1", "c1"], "a third ends the two");
    for (which, line) in [("oldest", "1"), ("newest", "2")] {
        let yaml = format!(
            "operators:\n- {{type: regex_parser, regex: '^(?P<n>.)'}}\n- {{type: recombine, combine_field: body, {last}, overwrite_with: {which}}}"
        );
        assert_eq!(records(&yaml, PATH, &["1", "2;"])[0].1.get("n"), Some(line));
    }
}

#[test]
fn filter_drops_all_or_some() {
    let kept = |settings: &str| {
        let yaml = format!("operators: [{{type: filter, {settings}}}]");
        let lines: Vec<_> = (0..1_000).map(|n| if n % 2 == 0 { "even" } else { "odd" }).collect();
        bodies(&yaml, &lines).len()
    };
    assert_eq!(kept("expr: 'body == \"odd\"'"), 500);
    assert_eq!(kept("expr: 'true', drop_ratio: 0"), 1_000);
    let some = kept("expr: 'body == \"odd\"', drop_ratio: 0.5");
    assert!((600..900).contains(&some), "{some}");
}

#[test]
fn if_lets_entries_go_by_and_on_error_decides_about_the_others() {
    let yaml = "operators: [{type: add, if: 'body contains \"x\"', field: attributes.seen, value: 'EXPR(upper(body))'}]";
    let found = records(yaml, PATH, &["ax", "b"]);
    assert_eq!(found[0].1.get("seen"), Some("AX"));
    assert_eq!(found[1].1.get("seen"), None);
    for (on_error, left) in [("send", 2), ("send_quiet", 2), ("drop", 1), ("drop_quiet", 1)] {
        let yaml = format!(
            "operators: [{{type: remove, field: attributes.n, if: 'body == \"a\"', on_error: {on_error}}}]"
        );
        assert_eq!(bodies(&yaml, &["a", "b"]).len(), left, "{on_error}");
    }
}

#[test]
fn a_router_has_a_default() {
    let yaml = "operators:\n- {type: router, routes: [{expr: 'body matches \"^a\"', output: [a]}], default: b}\n\
                - {type: add, id: a, field: attributes.way, value: a, output: end}\n\
                - {type: add, id: b, field: attributes.way, value: b}\n- {type: noop, id: end}";
    let found = records(yaml, PATH, &["a", "c"]);
    let ways: Vec<_> = found.iter().map(|(_, record)| record.get("way")).collect();
    assert_eq!(ways, [Some("a"), Some("b")]);
}

/// One of each, in a row, so that each also gets what the others make of a line.
const ALL: &str = r#"operators:
- {type: recombine, combine_field: body, is_last_entry: 'not (body endsWith "\\")', max_batch_size: 3, on_error: send_quiet}
- {type: container, on_error: send_quiet}
- {type: json_parser, parse_to: attributes.json, on_error: send_quiet, timestamp: {parse_from: attributes.json.time, layout: '%Y-%m-%dT%H:%M:%S.%L%z'}, severity: {parse_from: attributes.json.level}, trace: {trace_id: {parse_from: attributes.json.id}}}
- {type: key_value_parser, parse_to: resource.pairs, on_error: send_quiet}
- {type: regex_parser, regex: '(?P<a>\w*) ?(?P<b>.*)', cache: {size: 4}, on_error: send_quiet}
- {type: time_parser, parse_from: attributes.a, layout: '%b %e %I:%M:%S %p %Z', on_error: send_quiet}
- {type: time_parser, id: epoch, parse_from: attributes.a, layout_type: epoch, layout: s.us, on_error: send_quiet}
- {type: severity_parser, parse_from: attributes.a, on_error: send_quiet}
- {type: trace_parser, trace_id: {parse_from: attributes.a}, span_id: {parse_from: attributes.b}, on_error: send_quiet}
- {type: filter, expr: 'len(body) == 3 and int(attributes.a) % 2 == 0', on_error: send_quiet}
- {type: copy, from: attributes, to: resource.copy, on_error: send_quiet}
- {type: move, from: attributes.b, to: body, on_error: send_quiet, if: 'attributes.b != nil and attributes.b[0] == "x"'}
- {type: add, field: resource.computed, value: 'EXPR(body + string(attributes) + lower(attributes.a))', on_error: send_quiet}
- {type: retain, fields: [attributes.a, resource.computed], on_error: send_quiet}
- {type: remove, field: resource.nothing, on_error: send_quiet}"#;

fn line() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let parts = prop::sample::select(vec![
        "2026-11-23T17:28:00.123456789Z",
        " stdout P ",
        " stderr F ",
        "{\"log\":\"",
        "\",\"stream\":\"stdout\",\"time\":\"2026-11-23T17:28:00Z\"}",
        "{\"level\":17,\"time\":\"2026-11-23T17:28:00.5Z\",\"id\":\"",
        "\"}",
        "a=1 b=\"",
        "\\",
        "Nov 23 05:28:00 PM UTC",
        "1795454880.5",
        "\u{fffd}é",
    ]);
    let bytes = prop_oneof![
        parts.prop_map(|part| part.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(bytes, 0..6).prop_map(|parts| parts.concat())
}

proptest::proptest! {
    #[test]
    fn no_line_is_too_odd_for_any_operator(lines in proptest::collection::vec(line(), 0..20)) {
        let filelog = filelog(ALL);
        let LineParser::Operators(operators) = &filelog.parser else { panic!("{filelog:?}") };
        let mut log = LineLog::new(PATH.as_ref(), &filelog.described, Arc::clone(operators));
        let mut records = Vec::new();
        for line in &lines {
            log.line(line.clone().into(), 7, &mut records);
        }
        log.flush(&mut records);
        proptest::prop_assert!(records.len() as u64 + log.take_dropped() <= lines.len() as u64);
    }
}

#[test]
fn long_and_deep_lines_are_handled_like_others() {
    let long = format!("2026-11-23T17:28:00Z stdout F {}", "é".repeat(500_000));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let pairs: String = (0..100_000).map(|n| format!("k{n}=v ")).collect();
    let records = records(ALL, PATH, &[&long, &deep, &pairs]);
    assert_eq!(records.len(), 3);
}

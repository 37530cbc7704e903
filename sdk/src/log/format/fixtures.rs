//! The contract with whoever reads lines: every case of the fixture is written exactly.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;

use super::super::time::{SecondCache, WallTime, Zone};
use super::*;

fn cases() -> Vec<Json> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/log-lines/cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(case: &'a Json, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {case}"))
}

fn ids(span: &Json) -> Option<SpanIds> {
    let id = |key| u128::from_str_radix(text(span, key), 16).unwrap();
    (!span.is_null()).then(|| SpanIds {
        trace_id: id("trace_id").to_be_bytes(),
        span_id: u64::try_from(id("span_id")).unwrap().to_be_bytes(),
        sampled: span["sampled"].as_bool().unwrap(),
    })
}

fn fields(case: &Json) -> Fields {
    let mut fields = Fields::new();
    fields.reset(16_000, false);
    fields.set_message(format_args!("{}", text(case, "message")));
    for (name, value) in case["fields"].as_object().unwrap() {
        match value {
            Json::String(text) => fields.add(name, Value::Text(Text::whole(text))),
            Json::Bool(truth) => fields.add(name, Value::Bool(*truth)),
            Json::Number(number) => {
                let unsigned = number.as_u64().map(Value::U64);
                let signed = number.as_i64().map(Value::I64);
                let float = number.as_f64().map(Value::F64);
                fields.add(name, unsigned.or(signed).or(float).unwrap());
            }
            other => panic!("a field cannot be {other}"),
        }
    }
    fields
}

fn written(case: &Json, format: LogFormat) -> String {
    let timestamp: Timestamp = text(case, "time").parse().unwrap();
    let mut second = SecondCache::new();
    let event = LineEvent {
        time: second.write_out(WallTime::from_timestamp(timestamp), 1, &Zone::utc()),
        level: text(case, "level").parse().unwrap(),
        target: Some(Text::whole(text(case, "target"))),
        path: case["file"].as_str(),
        max_file_bytes: usize::MAX,
        line: case["line"].as_u64().map(|line| u32::try_from(line).unwrap()),
        ids: ids(&case["span"]),
        service_name: text(case, "service_name"),
        since_last_line: Duration::from_millis(case["ms_since_last_line"].as_u64().unwrap()),
        fields: &fields(case),
        is_last_try: false,
    };
    let mut line = Out::default();
    by_name(format, false).write(&event, &mut line);
    line.as_str().to_owned()
}

#[test]
fn every_case_is_written_exactly_in_every_format() {
    for case in cases() {
        for format in LogFormat::ALL {
            let expected = text(&case["lines"], format.name());
            assert_eq!(written(&case, format), expected, "{}: {format}", case["name"]);
        }
    }
}

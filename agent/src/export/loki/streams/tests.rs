use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValueList};

use super::*;
use crate::record::{Body, Resource, SpanId, Text, TraceId, text_attribute};

const ALL: DefaultLabels = DefaultLabels { exporter: true, job: true, instance: true, level: true };
const NONE: DefaultLabels =
    DefaultLabels { exporter: false, job: false, instance: false, level: false };

fn record(body: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: 0,
        severity_text: String::new(),
        body: Body::Text(Text::from(body.to_owned())),
        attributes: Vec::new(),
        trace_id: None,
        span_id: None,
        flags: 0,
    }
}

fn texts(attributes: &[(&str, &str)]) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| text_attribute(key, *value)).collect()
}

fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn list(values: &[&str]) -> AnyValue {
    let values = values.iter().map(|text| value(Value::StringValue((*text).to_owned()))).collect();
    value(Value::ArrayValue(ArrayValue { values }))
}

fn with_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn batch(resource: &[(&str, &str)], records: Vec<LogRecord>) -> LogBatch {
    let resource = Arc::new(Resource { attributes: texts(resource) });
    LogBatch { resource, scope: None, records }
}

/// The labels and the line of the one record.
fn one(batch: LogBatch, defaults: DefaultLabels) -> (String, String) {
    let mut made = streams(&[batch], defaults, 9);
    assert_eq!((made.streams.len(), made.unknown_format), (1, 0), "{made:?}");
    let mut stream = made.streams.remove(0);
    assert_eq!(stream.entries.len(), 1);
    (stream.labels, stream.entries.remove(0).line)
}

#[test]
fn a_line_of_the_seeds_configuration_is_what_its_collector_made_of_it() {
    let mut line = record("2023-12-31T00:00:00.000000001Z stderr F [INFO] <a & b>");
    line.attributes = texts(&[
        ("time", "2023-12-31T00:00:00.000000001Z"),
        ("stream", "stderr"),
        ("logtag", "F"),
        ("log", "[INFO] <a & b>"),
        ("uid", "0c5a0f7e"),
        ("restart_count", "0"),
    ]);
    let resource = [
        ("filename", "/var/log/pods/default_web_0c5a0f7e/web/0.log"),
        ("container", "web"),
        ("namespace", "default"),
        ("pod", "web"),
        ("cluster", "minikube"),
        ("loki.format", "json"),
        ("loki.resource.labels", "pod, namespace, container, cluster, filename"),
    ];
    let (labels, line) = one(batch(&resource, vec![line]), ALL);
    assert_eq!(
        labels,
        r#"{cluster="minikube", container="web", exporter="OTLP", filename="/var/log/pods/default_web_0c5a0f7e/web/0.log", namespace="default", pod="web"}"#
    );
    assert_eq!(
        line,
        r#"{"body":"2023-12-31T00:00:00.000000001Z stderr F [INFO] \u003ca \u0026 b\u003e","attributes":{"log":"[INFO] \u003ca \u0026 b\u003e","logtag":"F","restart_count":"0","stream":"stderr","time":"2023-12-31T00:00:00.000000001Z","uid":"0c5a0f7e"}}"#
    );
}

/// The record of the tests of the Collector's translator.
fn example(format: &str) -> LogBatch {
    let mut example = record("Example log");
    example.severity_text = "error".to_owned();
    example.attributes = texts(&[("attr1", "1"), ("attr2", "2")]);
    example.trace_id = TraceId::from_hex(b"01020304000000000000000000000000");
    example.span_id = SpanId::from_hex(b"0506070800000000");
    example.flags = 1;
    let mut batch = batch(&[("host.name", "something"), ("loki.format", format)], vec![example]);
    batch.scope = Some(Arc::new(InstrumentationScope {
        name: "example-logger-name".to_owned(),
        version: "v1".to_owned(),
        attributes: texts(&[("foo", "bar")]),
        ..InstrumentationScope::default()
    }));
    batch
}

#[test]
fn everything_that_a_record_has_is_in_its_line() {
    assert_eq!(
        one(example("json"), ALL).1,
        r#"{"body":"Example log","traceid":"01020304000000000000000000000000","spanid":"0506070800000000","severity":"error","flags":1,"attributes":{"attr1":"1","attr2":"2"},"resources":{"host.name":"something"},"instrumentation_scope":{"name":"example-logger-name","version":"v1","attributes":{"foo":"bar"}}}"#
    );
    assert_eq!(
        one(example("logfmt"), ALL).1,
        "Example= log= traceID=01020304000000000000000000000000 spanID=0506070800000000 severity=error flags=1 attribute_attr1=1 attribute_attr2=2 resource_host.name=something instrumentation_scope_name=example-logger-name instrumentation_scope_version=v1 instrumentation_scope_attribute_foo=bar"
    );
    assert_eq!(one(example("raw"), ALL).1, "Example log");
    let mut nothing = record("");
    nothing.body = Body::Value(AnyValue::default());
    assert_eq!(one(batch(&[], vec![nothing]), ALL).1, "{}");
}

#[test]
fn bodies_of_every_kind_are_written() {
    let map = value(Value::KvlistValue(KeyValueList {
        values: vec![
            with_value("keystr", value(Value::StringValue("val".into()))),
            with_value("keyint", value(Value::IntValue(1))),
            with_value("keybool", value(Value::BoolValue(true))),
            with_value("keynull", AnyValue::default()),
            with_value("keyarr", list(&["a", "b"])),
            with_value(
                "keymap",
                value(Value::KvlistValue(KeyValueList {
                    values: vec![with_value("key", value(Value::StringValue("val".into())))],
                })),
            ),
        ],
    }));
    for (body, json, logfmt) in [
        (
            map,
            r#"{"keyarr":["a","b"],"keybool":true,"keyint":1,"keymap":{"key":"val"},"keynull":null,"keystr":"val"}"#,
            "keystr=val keyint=1 keybool=true keyarr_0=a keyarr_1=b keymap_key=val",
        ),
        (list(&["a", "b"]), r#"["a","b"]"#, "body_0=a body_1=b"),
        (value(Value::IntValue(1)), "1", "msg=1"),
        (value(Value::DoubleValue(1.1)), "1.1", "msg=1.1"),
        (value(Value::BoolValue(true)), "true", "msg=true"),
        (value(Value::BytesValue(b"abc".to_vec())), "\"YWJj\"", "msg=abc"),
        (value(Value::StringValue("a".into())), "\"a\"", "a="),
    ] {
        let made = |format| {
            let mut record = record("");
            record.body = Body::Value(body.clone());
            one(batch(&[("loki.format", format)], vec![record]), ALL).1
        };
        assert_eq!(made("json"), format!("{{\"body\":{json}}}"));
        assert_eq!(made("logfmt"), logfmt);
    }
}

#[test]
fn a_body_in_logfmt_is_taken_apart_and_any_other_is_the_message() {
    for (body, line) in [
        ("msg=\"hello world\" a=1", "msg=\"hello world\" a=1"),
        ("msg=\"a \\\"b\\\"\\n\" c", "msg=\"a \\\"b\\\"\\n\" c="),
        ("a=null", "a=null"),
        ("a=b=c", "msg=\"a=b=c\""),
        ("\"quoted\"", "msg=\"\\\"quoted\\\"\""),
        ("a=\"open", "msg=\"a=\\\"open\""),
        ("two\nlines", "msg=\"two\\nlines\""),
        ("", ""),
    ] {
        let record = record(body);
        let made = one(batch(&[("loki.format", "logfmt")], vec![record]), ALL).1;
        assert_eq!(made, line, "{body:?}");
    }
}

#[test]
fn the_default_labels_are_those_that_are_switched_on() {
    let resource = [
        ("service.name", "cart"),
        ("service.namespace", "shop"),
        ("service.instance.id", "cart-1"),
    ];
    let labels = |defaults| {
        let mut record = record("x");
        record.severity_number = 13;
        one(batch(&resource, vec![record]), defaults).0
    };
    assert_eq!(
        labels(ALL),
        r#"{exporter="OTLP", instance="cart-1", job="shop/cart", level="WARN"}"#
    );
    assert_eq!(labels(NONE), "{}");
    for (only, expected) in [
        (DefaultLabels { exporter: true, ..NONE }, r#"{exporter="OTLP"}"#),
        (DefaultLabels { job: true, ..NONE }, r#"{job="shop/cart"}"#),
        (DefaultLabels { instance: true, ..NONE }, r#"{instance="cart-1"}"#),
        (DefaultLabels { level: true, ..NONE }, r#"{level="WARN"}"#),
    ] {
        assert_eq!(labels(only), expected);
    }
}

#[test]
fn hints_make_labels_of_attributes_which_are_then_not_in_the_line() {
    let mut hinted = record("x");
    hinted.attributes = texts(&[("k8s.pod", "p"), ("left", "l")]);
    hinted
        .attributes
        .push(with_value("loki.attribute.labels", list(&["k8s.pod", "nested.a", "none"])));
    hinted.attributes.push(with_value(
        "nested",
        value(Value::KvlistValue(KeyValueList {
            values: vec![with_value("a", value(Value::IntValue(7)))],
        })),
    ));
    hinted.attributes.extend(texts(&[("loki.resource.labels", "host.name")]));
    let resource = [("host.name", "h\"1\n\u{1}\u{2028}é"), ("rest", "r")];
    let (labels, line) = one(batch(&resource, vec![hinted]), NONE);
    assert_eq!(labels, r#"{host_name="h\"1\n\x01\u2028é", k8s_pod="p", nested_a="7"}"#);
    assert_eq!(
        line,
        r#"{"body":"x","attributes":{"left":"l","nested":{"a":7}},"resources":{"rest":"r"}}"#
    );
}

#[test]
fn names_become_such_as_loki_takes() {
    for (name, expected) in [
        ("host.name", "host_name"),
        ("1st", "key_1st"),
        ("_own", "key_own"),
        ("__meta", "__meta"),
        ("größe", "gr__e"),
        ("ok", "ok"),
    ] {
        assert_eq!(label_name(name), expected);
    }
}

#[test]
fn the_tenant_is_that_of_the_attribute_that_the_hint_names() {
    let tenants = |resource: &[(&str, &str)], attributes: &[(&str, &str)]| {
        let mut record = record("x");
        record.attributes = texts(attributes);
        streams(&[batch(resource, vec![record])], ALL, 9).streams.remove(0).tenant
    };
    let tenant = Some("shop".to_owned());
    assert_eq!(tenants(&[("loki.tenant", "team"), ("team", "shop")], &[]), tenant);
    assert_eq!(tenants(&[("loki.tenant", "team")], &[("team", "shop")]), tenant);
    assert_eq!(tenants(&[], &[("loki.tenant", "team"), ("team", "shop")]), tenant);
    assert_eq!(tenants(&[("loki.tenant", "team")], &[]), None);
    assert_eq!(tenants(&[], &[]), None);
}

#[test]
fn records_are_grouped_by_their_labels_and_sorted_by_their_times() {
    let mut records = vec![record("late"), record("early"), record("untimed"), record("observed")];
    records[0].time_unix_nano = 7;
    (records[2].time_unix_nano, records[2].observed_time_unix_nano) = (0, 0);
    records[3].time_unix_nano = 0;
    let mut error = record("error");
    error.severity_number = 17;
    records.push(error);
    let made = streams(&[batch(&[("loki.format", "raw")], records)], ALL, 9);
    let lines = |stream: &Stream| {
        let line = |entry: &Entry| (entry.time_unix_nano, entry.line.clone(), entry.from);
        stream.entries.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&made.streams[0]),
        [
            (1, "early".to_owned(), (0, 1)),
            (2, "observed".to_owned(), (0, 3)),
            (7, "late".to_owned(), (0, 0)),
            (9, "untimed".to_owned(), (0, 2)),
        ]
    );
    assert_eq!(made.streams[1].labels, r#"{exporter="OTLP", level="ERROR"}"#);
}

#[test]
fn a_format_that_there_is_not_is_counted() {
    let made = streams(&[batch(&[("loki.format", "xml")], vec![record("x")])], ALL, 9);
    assert_eq!((made.streams.len(), made.unknown_format), (0, 1));
}

#[test]
fn a_hint_with_many_dots_takes_no_time() {
    let mut hinted = record("x");
    hinted.attributes = texts(&[("loki.attribute.labels", &"a.".repeat(10_000)), ("a", "b")]);
    assert_eq!(one(batch(&[], vec![hinted]), NONE).0, "{}");
}

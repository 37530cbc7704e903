//! OTLP values as the Collector, a program in Go, writes them: byte for byte as Go's `encoding/json` and `fmt` do.
//!
//! One difference: Go refuses numbers that JSON does not have and the Collector then drops the record; here they are texts.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// A text as it is, everything else as JSON has it: the Collector's `AsString`.
pub(super) fn as_text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BytesValue(bytes)) => STANDARD.encode(bytes),
        Some(Value::DoubleValue(number)) if !number.is_finite() => number.to_string(),
        Some(_) => {
            let mut json = String::new();
            write_json(&mut json, value);
            json
        }
    }
}

/// A value as JSON.
pub(super) fn write_json(out: &mut String, value: &AnyValue) {
    match &value.value {
        None | Some(Value::StringValueStrindex(_)) => *out += "null",
        Some(Value::StringValue(text)) => write_json_text(out, text),
        Some(Value::BoolValue(truth)) => *out += if *truth { "true" } else { "false" },
        Some(Value::IntValue(number)) => _ = write!(out, "{number}"),
        Some(Value::DoubleValue(number)) if number.is_finite() => {
            // The cut-offs of ECMAScript, which Go's JSON follows; its exponents have no leading zero.
            *out += &float(*number, -6, 21, 1);
        }
        Some(Value::DoubleValue(number)) => write_json_text(out, &number.to_string()),
        Some(Value::BytesValue(bytes)) => write_json_text(out, &STANDARD.encode(bytes)),
        Some(Value::ArrayValue(list)) => {
            out.push('[');
            for (n, value) in list.values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_json(out, value);
            }
            out.push(']');
        }
        Some(Value::KvlistValue(map)) => write_json_map(out, &map.values, |_| true),
    }
}

/// Those attributes that are to be kept, sorted by key; of two with the same key the later one.
pub(super) fn write_json_map(
    out: &mut String,
    attributes: &[KeyValue],
    keep: impl Fn(&str) -> bool,
) {
    let mut entries: Vec<&KeyValue> =
        attributes.iter().filter(|attribute| keep(&attribute.key)).collect();
    entries.sort_by(|one, two| one.key.cmp(&two.key));
    out.push('{');
    let mut is_first = true;
    for (n, entry) in entries.iter().enumerate() {
        if entries.get(n + 1).is_some_and(|next| next.key == entry.key) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write_json_text(out, &entry.key);
        out.push(':');
        match &entry.value {
            Some(value) => write_json(out, value),
            None => *out += "null",
        }
    }
    out.push('}');
}

/// A text between quotes; `<`, `>` and `&` are escaped, so that it is safe in HTML.
pub(super) fn write_json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(is_escaped) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('"') => *out += "\\\"",
            Some('\\') => *out += "\\\\",
            Some('\n') => *out += "\\n",
            Some('\r') => *out += "\\r",
            Some('\t') => *out += "\\t",
            Some('\u{8}') => *out += "\\b",
            Some('\u{c}') => *out += "\\f",
            Some(c) => _ = write!(out, "\\u{:04x}", u32::from(c)),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn is_escaped(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

/// A number as `fmt.Sprint` writes it.
pub(super) fn float_text(number: f64) -> String {
    if number.is_finite() { float(number, -4, 6, 2) } else { non_finite(number).to_owned() }
}

fn non_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

/// The shortest digits that give the number again; with an exponent of at least so many digits where it is below
/// `smallest`, or `largest` and more.
fn float(number: f64, smallest: i32, largest: i32, exponent_digits: usize) -> String {
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (smallest..largest).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:0exponent_digits$}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: Value) -> String {
        let mut out = String::new();
        write_json(&mut out, &AnyValue { value: Some(value) });
        out
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        // What Go 1.26 printed: fmt.Sprint, and json.Marshal.
        for (number, text, in_json) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.5, "1.5", "1.5"),
            (1e5, "100000", "100000"),
            (1e6, "1e+06", "1000000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (1e20, "1e+20", "100000000000000000000"),
            (-1e30, "-1e+30", "-1e+30"),
            (1e-4, "0.0001", "0.0001"),
            (1e-5, "1e-05", "0.00001"),
            (1e-6, "1e-06", "0.000001"),
            (1.25e-7, "1.25e-07", "1.25e-7"),
        ] {
            assert_eq!(float_text(number), text);
            assert_eq!(json(Value::DoubleValue(number)), in_json);
        }
        assert_eq!(json(Value::DoubleValue(f64::NAN)), "\"NaN\"");
    }

    #[test]
    fn texts_are_escaped_as_go_escapes_them() {
        let text = "\u{8}\u{c}\u{1}\u{7f}<>&\u{2028}é\"\\\n".to_owned();
        let expected =
            r#""\b\f\u0001"#.to_owned() + "\u{7f}" + r#"\u003c\u003e\u0026\u2028é\"\\\n""#;
        assert_eq!(json(Value::StringValue(text)), expected);
    }

    #[test]
    fn maps_are_sorted_and_the_later_of_two_keys_counts() {
        let entry = |key: &str, value: i64| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(Value::IntValue(value)) }),
            ..KeyValue::default()
        };
        let mut out = String::new();
        let entries = [entry("b", 1), entry("left", 2), entry("a", 3), entry("b", 4)];
        write_json_map(&mut out, &entries, |key| key != "left");
        assert_eq!(out, r#"{"a":3,"b":4}"#);
    }
}

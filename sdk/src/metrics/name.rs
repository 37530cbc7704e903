//! Names: what Prometheus accepts, and how OpenTelemetry's become Prometheus's. Pure, and the one place for
//! it, so that a family is called the same whichever way it leaves.
//!
//! The rules are those by which Prometheus takes OTLP in, so that a push arrives under the name that a
//! scrape finds.

use std::fmt::Write as _;

/// OpenTelemetry's units in Prometheus's words.
const UNITS: [(&str, &str); 28] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
    ("bit", "bits"),
    ("", ""),
];

/// What stands below a unit's fraction line.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// Whether a text is `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(super) fn is_metric_name(name: &str) -> bool {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':');
    name.bytes().next().is_some_and(is_first)
        && name.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit())
}

/// Whether a text is `[a-zA-Z_][a-zA-Z0-9_]*` and not reserved by a leading `__`.
pub(super) fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__")
}

/// The label's name for an attribute's key.
pub(super) fn label_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    if key.starts_with(|first: char| first.is_ascii_digit()) || key.is_empty() {
        name.push_str("key_");
    } else if key.starts_with("__") {
        name.push_str("key");
    }
    let sanitized = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    name.extend(sanitized);
    name
}

/// The same without a copy where the key is a name already.
pub(super) fn into_label_name(key: String) -> String {
    if is_label_name(&key) { key } else { label_name(&key) }
}

/// The family's name for an OpenTelemetry instrument, without a counter's `_total`.
pub(super) fn of_instrument(name: &str, unit: &str, is_counter: bool, is_gauge: bool) -> String {
    let is_part_of_word = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut words: Vec<&str> =
        name.split(|c| !is_part_of_word(c)).filter(|word| !word.is_empty()).collect();
    let (main, per) = split_unit(unit);
    let main = words_of_unit(&main);
    if !main.is_empty() && !words.contains(&main.as_str()) {
        words.push(&main);
    }
    let per = per.map(|per| words_of_per_unit(&per)).unwrap_or_default();
    if !per.is_empty() && !words.contains(&per.as_str()) {
        if words.last() != Some(&"per") {
            words.push("per");
        }
        words.push(&per);
    }
    if is_counter {
        words.retain(|word| *word != "total");
    }
    if is_gauge && unit == "1" {
        words.retain(|word| *word != "ratio");
        words.push("ratio");
    }
    let mut joined = words.join("_");
    if joined.starts_with(|first: char| first.is_ascii_digit()) {
        joined.insert(0, '_');
    }
    joined
}

/// OpenTelemetry's unit for a Prometheus name: chosen so that the translation leaves the name as it is.
pub(super) fn unit_of(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

/// The last word of a family's name if it is a unit, as OpenMetrics has it.
pub(super) fn openmetrics_unit(name: &str) -> Option<&'static str> {
    let last = name.rsplit('_').next().filter(|last| last.len() < name.len())?;
    let is_it = |(_, word): &&(&str, &'static str)| *word == last && !word.is_empty();
    UNITS.iter().find(is_it).map(|(_, word)| *word).or_else(|| (last == "ratio").then_some("ratio"))
}

/// A bound as OpenMetrics writes it canonically: `0.005`, `1.0`, `1e+06`.
pub(super) fn canonical(bound: f64) -> String {
    if bound == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if bound != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let mut text = format!("{bound}");
    if !text.contains('.') {
        let _ = write!(text, ".0");
    }
    text
}

fn split_unit(unit: &str) -> (String, Option<String>) {
    let without_notes = |part: &str| {
        let part = part.trim();
        if part.contains(['{', '}']) { String::new() } else { part.to_owned() }
    };
    match unit.split_once('/') {
        Some((main, per)) => (without_notes(main), Some(without_notes(per))),
        None => (without_notes(unit), None),
    }
}

fn words_of_unit(unit: &str) -> String {
    let known = UNITS.iter().find(|(code, _)| *code == unit).map(|(_, word)| *word);
    known.map_or_else(|| sanitized(unit), str::to_owned)
}

fn words_of_per_unit(unit: &str) -> String {
    let known = PER_UNITS.iter().find(|(code, _)| *code == unit).map(|(_, word)| *word);
    known.map_or_else(|| sanitized(unit), str::to_owned)
}

fn sanitized(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_get_the_names_that_prometheus_gives_them() {
        let cases = [
            (
                "http.server.request.duration",
                "s",
                false,
                false,
                "http_server_request_duration_seconds",
            ),
            (
                "http.server.active_requests",
                "{request}",
                false,
                false,
                "http_server_active_requests",
            ),
            (
                "http.client.request.body.size",
                "By",
                false,
                false,
                "http_client_request_body_size_bytes",
            ),
            ("system.cpu.utilization", "1", false, true, "system_cpu_utilization_ratio"),
            ("system.io", "By/s", false, true, "system_io_bytes_per_second"),
            ("orders.total", "1", true, false, "orders"),
            ("wait_seconds", "s", false, false, "wait_seconds"),
            ("queue--depth..now", "", false, true, "queue_depth_now"),
            ("2xx", "", true, false, "_2xx"),
            ("odd", "widgets per.hour", false, false, "odd_widgets_per_hour"),
        ];
        for (name, unit, is_counter, is_gauge, expected) in cases {
            assert_eq!(of_instrument(name, unit, is_counter, is_gauge), expected);
        }
    }

    #[test]
    fn a_prometheus_name_is_left_as_it_is_by_the_translation_of_its_push() {
        for name in ["checkout_latency_seconds", "body_bytes", "workers", "busy_ratio"] {
            assert_eq!(of_instrument(name, unit_of(name), false, true), name);
        }
    }

    #[test]
    fn keys_become_labels() {
        let cases = [
            ("http.request.method", "http_request_method"),
            ("1st", "key_1st"),
            ("__name__", "key__name__"),
            ("ключ", "____"),
            ("", "key_"),
        ];
        for (key, name) in cases {
            assert_eq!(label_name(key), name);
            assert!(is_label_name(name) || name.starts_with("__"), "{name}");
        }
    }

    #[test]
    fn bounds_are_written_canonically() {
        let cases = [
            (0.005, "0.005"),
            (1.0, "1.0"),
            (2.5, "2.5"),
            (1024.0, "1024.0"),
            (1_048_576.0, "1.048576e+06"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
            (0.0, "0.0"),
            (-1.0, "-1.0"),
        ];
        for (bound, text) in cases {
            assert_eq!(canonical(bound), text);
        }
    }
}

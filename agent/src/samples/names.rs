//! Names: what OpenTelemetry's become for Prometheus, by the rules with which Prometheus takes OTLP in.

use std::fmt::Write as _;

use super::Naming;

/// OpenTelemetry's units in Prometheus's words.
const UNITS: [(&str, &str); 26] = [
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

/// The family's name for a metric, without a counter's `_total`; empty when nothing of it can stand in one.
pub fn family(name: &str, unit: &str, is_counter: bool, is_gauge: bool, naming: &Naming) -> String {
    let is_part_of_word = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut words: Vec<&str> =
        name.split(|c| !is_part_of_word(c)).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return String::new();
    }
    let (main, per) = if naming.suffixes { unit_words(unit) } else { Default::default() };
    if !main.is_empty() && !words.contains(&main.as_str()) {
        words.push(&main);
    }
    if !per.is_empty() && !words.contains(&per.as_str()) {
        if words.last() != Some(&"per") {
            words.push("per");
        }
        words.push(&per);
    }
    if is_counter {
        // OpenMetrics has no counter without `_total`: it is appended again when the sample is written.
        words.retain(|word| *word != "total");
    }
    if is_gauge && unit == "1" && naming.suffixes {
        words.retain(|word| *word != "ratio");
        words.push("ratio");
    }
    if !naming.namespace.is_empty() {
        words.insert(0, &naming.namespace);
    }
    let mut joined = words.join("_");
    if joined.is_empty() || joined.starts_with(|first: char| first.is_ascii_digit()) {
        joined.insert(0, '_');
    }
    joined
}

/// The label's name for an attribute's key.
pub fn label(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    if key.starts_with(|first: char| first.is_ascii_digit()) || key.is_empty() {
        name.push_str("key_");
    } else if key.starts_with("__") {
        // Prometheus keeps those for itself.
        name.push_str("key");
    }
    name.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
    // A key that begins with, say, two letters of another script is sanitised into the same.
    if name.starts_with("__") {
        name.insert_str(0, "key");
    }
    name
}

/// The unit that a family's name ends with, for `# UNIT`.
pub fn unit_suffix(family: &str) -> Option<&'static str> {
    let last = family.rsplit_once('_')?.1;
    let known = UNITS.iter().map(|(_, word)| *word).chain(["ratio"]);
    known.filter(|word| !word.is_empty()).find(|word| *word == last)
}

/// A bucket's bound as OpenMetrics wants it, so that it is the same label wherever it was written.
pub fn bound(bound: f64) -> String {
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
        // Writing to a string does not fail.
        let _ = write!(text, ".0");
    }
    text
}

fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    (word(main, &UNITS), word(per, &PER_UNITS))
}

fn word(unit: &str, table: &[(&str, &str)]) -> String {
    let unit = unit.trim();
    // `{request}` is a note, not a unit.
    if unit.contains(['{', '}']) {
        return String::new();
    }
    if let Some((_, word)) = table.iter().find(|(code, _)| *code == unit) {
        return (*word).to_owned();
    }
    let parts = unit.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_get_the_names_that_prometheus_gives_them() {
        let cases = [
            ("http.server.request.duration", "s", false, "http_server_request_duration_seconds"),
            ("http.server.active_requests", "{request}", false, "http_server_active_requests"),
            ("http.client.request.body.size", "By", false, "http_client_request_body_size_bytes"),
            ("system.io", "By/s", false, "system_io_bytes_per_second"),
            ("orders.total", "1", true, "orders"),
            ("wait_seconds", "s", false, "wait_seconds"),
            ("fuel", "foo_bar/baz", false, "fuel_foo_bar_per_baz"),
            ("1st.try", "", false, "_1st_try"),
            ("__a--b", "", false, "a_b"),
            ("größe", "", false, "gr_e"),
            ("日本", "s", false, ""),
        ];
        for (name, unit, is_counter, expected) in cases {
            let naming = Naming::default();
            assert_eq!(family(name, unit, is_counter, false, &naming), expected, "{name} {unit}");
        }
        let gauge = family("cpu.utilization", "1", false, true, &Naming::default());
        assert_eq!(gauge, "cpu_utilization_ratio");
    }

    #[test]
    fn without_suffixes_a_name_is_only_sanitised() {
        let naming = Naming { suffixes: false, namespace: "demo".to_owned(), ..Naming::default() };
        assert_eq!(family("a.b", "s", false, false, &naming), "demo_a_b");
    }

    #[test]
    fn a_label_is_never_one_that_prometheus_keeps_for_itself() {
        for (key, expected) in [
            ("http.route", "http_route"),
            ("9lives", "key_9lives"),
            ("__name__", "key__name__"),
            ("", "key_"),
            ("é", "_"),
            ("日本", "key__"),
        ] {
            assert_eq!(label(key), expected, "{key}");
        }
    }

    #[test]
    fn bounds_are_written_as_openmetrics_wants_them() {
        for (value, text) in [
            (0.005, "0.005"),
            (1.0, "1.0"),
            (0.0, "0.0"),
            (100_000.0, "100000.0"),
            (1_000_000.0, "1e+06"),
            (0.000_01, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(bound(value), text);
        }
    }
}

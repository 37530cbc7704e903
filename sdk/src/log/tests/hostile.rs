//! Random and hostile text in every place that data can reach: one event stays one line, without
//! control characters, and nobody can imitate ids.

use std::error::Error;
use std::fmt;

use proptest::prelude::*;
use tracing::info;

use super::*;

/// Pieces that have a meaning somewhere, among arbitrary characters.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        3 => prop::sample::select(vec![
            "trace_id=", "span_id=", "trace_id", "span_id", "=", "dead", "field_", "\n", "\r\n",
            "\u{1b}[31m", "\u{85}", "\u{9b}", "\u{2028}", "\u{2029}", "\0", "\t", " ", "\"", "\\",
            "{", "}", "[", "]", "…[+1 bytes]", "\\x3d", "\\u003d", "message", "level", "\u{7f}",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// What `key(\w+)` finds first.
fn first_match<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let words = line.match_indices(key).map(|(at, _)| {
        let rest = &line[at + key.len()..];
        let end = rest.find(|next: char| !next.is_alphanumeric() && next != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    words.into_iter().find(|word| !word.is_empty())
}

fn assert_harmless(format: LogFormat, line: &str, ids: Option<SpanIds>) {
    let is_bad = |character: char| {
        character.is_control() && character != '\t' || matches!(character, '\u{2028}' | '\u{2029}')
    };
    assert!(!line.contains(is_bad), "{format}: {line:?}");
    let found = (first_match(line, "trace_id="), first_match(line, "span_id="));
    let expected = match (ids, format) {
        (_, LogFormat::Json) => (None, None),
        (Some(_), _) => (Some("abababababababababababababababab"), Some("cdcdcdcdcdcdcdcd")),
        (None, LogFormat::Python) => (Some("0"), Some("0")),
        (None, _) => (None, None),
    };
    assert_eq!(found, expected, "{format}: {line:?}");
}

/// The JSON part of a line, if it has one.
fn record(format: LogFormat, line: &str) -> Option<Json> {
    match format {
        LogFormat::Json => Some(serde_json::from_str(line).unwrap()),
        // The prose in front may hold braces; the record begins where its first key stands.
        LogFormat::Winston => {
            let starts = line.match_indices("{\"context\":").map(|(at, _)| at);
            starts.into_iter().find_map(|at| serde_json::from_str(&line[at..]).ok())
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_in_every_place_stays_one_harmless_line(
        message in hostile(),
        target in hostile(),
        file in hostile(),
        service in hostile(),
        fields in prop::collection::vec((hostile(), hostile()), 0..4),
        in_a_span in any::<bool>(),
    ) {
        let ids = in_a_span
            .then_some(SpanIds { trace_id: [0xab; 16], span_id: [0xcd; 8], sampled: true });
        let fields: Vec<(&'static str, String)> =
            fields.into_iter().map(|(name, text)| (&*name.leak(), text)).collect();
        for format in LogFormat::ALL {
            let mut settings = settings(format);
            settings.service_name = service.as_str().into();
            let mut lines = Vec::new();
            Renderer::new(&settings).line(false, |kept| {
                kept.set_message(format_args!("{message}"));
                fields.iter().for_each(|(name, text)| kept.add_text(name, text));
                Origin { level: Level::INFO, target: &target, file: Some(&file), line: None, ids, is_panic: false }
            }, |line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            prop_assert_eq!(lines.len(), 1);
            let line = lines[0].strip_suffix('\n').unwrap();
            assert_harmless(format, line, ids);

            let Some(record) = record(format, line) else {
                prop_assert!(!matches!(format, LogFormat::Json | LogFormat::Winston));
                continue;
            };
            prop_assert_eq!(record["message"].as_str(), Some(message.as_str()));
            let target_key = if format == LogFormat::Json { "target" } else { "context" };
            prop_assert_eq!(record[target_key].as_str(), Some(target.as_str()));
            // Of two fields with one name a parser keeps the last.
            for (position, (name, text)) in fields.iter().enumerate() {
                if fields[position + 1..].iter().any(|(later, _)| later == name) {
                    continue;
                }
                let renamed = format!("field_{name}");
                let values = [record.get(*name), record.get(&renamed)];
                prop_assert!(values.contains(&Some(&Json::from(text.as_str()))), "{name:?} in {line}");
            }
        }
    }
}

/// An error whose cause has the hostile text.
#[derive(Debug)]
struct Failed(Cause);

#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_of_field_reads_back_as_what_it_was(
        text in hostile(),
        signed in any::<i64>(),
        unsigned in any::<u64>(),
        float in any::<f64>(),
        truth in any::<bool>(),
    ) {
        for format in LogFormat::ALL {
            let (layer, lines, memory) = in_memory(&settings(format));
            let error = Failed(Cause(text.clone()));
            let error: &(dyn Error + 'static) = &error;
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                info!(as_str = text, as_display = %text, as_debug = ?text, error, signed, unsigned,
                    float, truth, "all kinds");
                info!("{text}");
            });
            assert!(lines.shutdown(soon()));
            let seen = memory.lines();
            prop_assert_eq!(seen.len(), 2);
            seen.iter().for_each(|line| assert_harmless(format, line, None));
            if let Some(record) = record(format, &seen[0]) {
                prop_assert_eq!(record["as_str"].as_str(), Some(text.as_str()));
                prop_assert_eq!(record["as_display"].as_str(), Some(text.as_str()));
                prop_assert_eq!(&record["as_debug"], &Json::from(format!("{text:?}")));
                prop_assert_eq!(&record["error"], &Json::from(format!("failed: {text}")));
                prop_assert_eq!(record["signed"].as_i64(), Some(signed));
                prop_assert_eq!(record["unsigned"].as_u64(), Some(unsigned));
                prop_assert_eq!(record["truth"].as_bool(), Some(truth));
                if float.is_finite() {
                    // Not through serde_json, whose usual parser is an ulp or two off.
                    let (_, rest) = seen[0].rsplit_once("\"float\":").unwrap();
                    let (number, _) = rest.split_once(',').unwrap();
                    prop_assert_eq!(number.parse::<f64>().unwrap(), float);
                }
            }
        }
    }
}

//! Random and hostile text in every place that data can reach, in every way to write a line: one event stays
//! one line, without control characters, values read back as what they were, and nobody can imitate ids.

mod logfmt;
mod look;
mod strings;

use std::error::Error;
use std::fmt;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use look::{Look, hex};

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

/// Everything on a line that a program's data can reach.
struct Data<'a> {
    message: &'a str,
    target: &'a str,
    file: &'a str,
    fields: &'a [(&'a str, &'a str)],
    ids: Option<SpanIds>,
}

impl Data<'_> {
    /// The one line that is made of it, without its newline.
    fn written(&self, renderer: &Renderer) -> String {
        let time =
            super::super::time::WallTime::from_timestamp("2026-11-23T17:28:00Z".parse().unwrap());
        let mut lines = Vec::new();
        let fill = |kept: &mut Fields| {
            kept.set_message(format_args!("{}", self.message));
            for (name, text) in self.fields {
                kept.add(name, fields::Value::Text(fields::Text::whole(text)));
            }
            Origin {
                level: Level::INFO,
                target: self.target,
                file: Some(self.file),
                line: None,
                ids: self.ids,
                is_panic: false,
            }
        };
        let take = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
        assert!(renderer.line_at(time, false, fill, take));
        assert_eq!(lines.len(), 1);
        lines[0].strip_suffix('\n').unwrap().to_owned()
    }

    /// Finds fault with a line that does not say all of this, and nothing else.
    fn assert_read_back(&self, look: Look, line: &str) {
        if look == Look::Named(LogFormat::Logfmt) {
            assert_eq!(logfmt::pairs(line), self.logfmt_pairs(), "{line}");
        } else if let Some(record) = record(look, line) {
            assert_eq!(record["message"], self.message, "{line}");
            if let Look::Named(format) = look {
                let key = if format == LogFormat::Json { "target" } else { "context" };
                assert_eq!(record[key], self.target, "{line}");
            }
            if matches!(look, Look::OwnJson | Look::Named(LogFormat::Json)) {
                let ids = [record["trace_id"].as_str(), record["span_id"].as_str()];
                let expected = self.ids.map(hex);
                let expected = expected.as_ref().map(|(trace, span)| (&**trace, &**span)).unzip();
                assert_eq!((ids[0], ids[1]), expected, "{line}");
            }
            // Of two fields with one name a parser keeps the last.
            for (position, (name, text)) in self.fields.iter().enumerate() {
                if self.fields[position + 1..].iter().any(|(later, _)| later == name) {
                    continue;
                }
                let values = [record.get(*name), record.get(format!("field_{name}"))];
                assert!(values.contains(&Some(&Json::from(*text))), "{name:?} in {line}");
            }
        }
    }

    fn logfmt_pairs(&self) -> Vec<(String, String)> {
        const OWN_KEYS: [&str; 6] = ["ts", "level", "target", "trace_id", "span_id", "msg"];
        let own = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut pairs = vec![own("ts", "2026-11-23T17:28:00.000000Z"), own("level", "info")];
        pairs.push(own("target", self.target));
        if let Some((trace, span)) = self.ids.map(hex) {
            pairs.extend([("trace_id".to_owned(), trace), ("span_id".to_owned(), span)]);
        }
        pairs.push(own("msg", self.message));
        pairs.extend(self.fields.iter().map(|(name, text)| {
            let prefix = if OWN_KEYS.contains(name) { "field_" } else { "" };
            (format!("{prefix}{name}"), (*text).to_owned())
        }));
        pairs
    }
}

/// What the documentation tells readers to search for.
static SEARCHES: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [r"trace_id=(\w+)", r"span_id=(\w+)"].map(|search| Regex::new(search).unwrap())
});

fn assert_harmless(look: Look, line: &str, ids: Option<SpanIds>) {
    let is_bad = |character: char| {
        character.is_control() && character != '\t' || matches!(character, '\u{2028}' | '\u{2029}')
    };
    assert!(!line.contains(is_bad), "{look:?}: {line:?}");
    let [trace, span] =
        SEARCHES.each_ref().map(|search| Some(search.captures(line)?.get(1)?.as_str().to_owned()));
    assert_eq!((trace, span), look.searched(ids).unzip(), "{look:?}: {line:?}");
}

/// The JSON part of a line, in the formats that have one.
fn record(look: Look, line: &str) -> Option<Json> {
    match look {
        Look::OwnJson | Look::Named(LogFormat::Json) => Some(serde_json::from_str(line).unwrap()),
        // The prose in front may hold braces; the record begins where its first key stands.
        Look::Named(LogFormat::Winston) => {
            let mut starts = line.match_indices("{\"context\":").map(|(at, _)| at);
            let record = starts.find_map(|at| serde_json::from_str(&line[at..]).ok());
            Some(record.unwrap_or_else(|| panic!("no record: {line}")))
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
        let fields: Vec<_> = fields.iter().map(|(name, text)| (&**name, &**text)).collect();
        let data = Data {
            message: &message, target: &target, file: &file, fields: &fields, ids,
        };
        for look in Look::ALL {
            let mut settings = look.settings();
            settings.service_name = service.as_str().into();
            let line = data.written(&Renderer::new(&settings));
            assert_harmless(look, &line, ids);
            data.assert_read_back(look, &line);
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

/// Logs a text as a message, as each kind of field, and as a field of the span around, through the whole path.
fn assert_every_kind_reads_back(look: Look, texts: &[String]) {
    let mut settings = look.settings();
    settings.options.span_fields = Some(true);
    settings.queue_bytes = 64 * 1024 * 1024;
    let (layer, lines, memory) = in_memory(&settings);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        for text in texts {
            let error = Failed(Cause(text.clone()));
            let error: &(dyn Error + 'static) = &error;
            let _span = info_span!("around", of_span = text, of_span_debug = ?text).entered();
            info!(as_str = text, as_display = %text, as_debug = ?text, error, "all kinds");
            info!("{text}");
        }
    });
    assert!(lines.shutdown(soon()));
    let seen = memory.lines();
    assert_eq!(seen.len(), 2 * texts.len());
    for (pair, text) in seen.chunks_exact(2).zip(texts) {
        for line in pair {
            assert_harmless(look, line, None);
            assert!(line.len() < 16_000, "{} bytes", line.len());
        }
        let debug = format!("{text:?}");
        let expected = [
            ("as_str", text.clone()),
            ("as_display", text.clone()),
            ("as_debug", debug.clone()),
            ("error", format!("failed: {text}")),
            ("of_span", text.clone()),
            ("of_span_debug", debug),
        ];
        if pair.iter().any(|line| line.contains(" bytes]") && line.len() > 15_000) {
            continue;
        }
        if look == Look::Named(LogFormat::Logfmt) {
            let pairs = logfmt::pairs(&pair[0]);
            let fields = expected.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(pairs[pairs.len() - fields.len()..], fields, "{}", pair[0]);
            assert!(logfmt::pairs(&pair[1]).contains(&("msg".to_owned(), text.clone())));
        } else if let Some(record) = record(look, &pair[0]) {
            for (name, value) in expected {
                assert_eq!(record[name], value, "{name} in {}", pair[0]);
            }
            assert_eq!(self::record(look, &pair[1]).unwrap()["message"], *text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_kind_of_field_reads_back_as_what_it_was(texts in prop::collection::vec(hostile(), 25)) {
        for look in Look::ALL {
            assert_every_kind_reads_back(look, &texts);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_and_truths_stay_what_they_are(
        signed in any::<i64>(),
        unsigned in any::<u64>(),
        float in any::<f64>(),
        truth in any::<bool>(),
    ) {
        for look in [Look::Named(LogFormat::Json), Look::Named(LogFormat::Winston), Look::OwnJson] {
            let (layer, lines, memory) = in_memory(&look.settings());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
                info!(signed, unsigned, float, truth, "numbers");
            });
            assert!(lines.shutdown(soon()));
            let line = &memory.lines()[0];
            let record = record(look, line).unwrap();
            prop_assert_eq!(record["signed"].as_i64(), Some(signed));
            prop_assert_eq!(record["unsigned"].as_u64(), Some(unsigned));
            prop_assert_eq!(record["truth"].as_bool(), Some(truth));
            if float.is_finite() {
                // Not through serde_json, whose usual parser is an ulp or two off.
                let (_, rest) = line.rsplit_once("\"float\":").unwrap();
                let (number, _) = rest.split_once(',').unwrap();
                prop_assert_eq!(number.parse::<f64>().unwrap(), float);
            }
        }
    }
}

//! A line that is too long: its longest value is cut, its structure and ids never.

use super::*;

const MAX_LINE_BYTES: usize = 16_000;

fn ids() -> SpanIds {
    SpanIds { trace_id: [0xab; 16], span_id: [0xcd; 8], sampled: true }
}

fn line(format: LogFormat, message: &str, fields: &[(&'static str, &str)]) -> String {
    let (_layer, lines, memory) = in_memory(&settings(format));
    lines.emit(false, Priority::Normal, |kept| {
        kept.set_message(format_args!("{message}"));
        fields.iter().for_each(|(name, text)| kept.add_text(name, text));
        kept.add_u64("sku", 12);
        Origin {
            level: Level::INFO,
            target: "checkout",
            file: Some("src/a.rs"),
            line: Some(1),
            ids: Some(ids()),
            is_panic: false,
        }
    });
    assert!(lines.shutdown(soon()));
    let mut seen = memory.lines();
    assert_eq!(seen.len(), 1);
    let line = seen.remove(0);
    assert!(line.len() < MAX_LINE_BYTES, "{format}: {} bytes and a newline", line.len());
    line
}

/// Splits what is left of a value from the number of its bytes that are not.
fn kept_and_cut(text: &str) -> (&str, usize) {
    let (kept, mark) = text.rsplit_once("…[+").unwrap_or_else(|| panic!("not cut: {text:?}"));
    (kept, mark.strip_suffix(" bytes]").unwrap().parse().unwrap())
}

#[test]
fn the_longest_value_is_cut_at_a_character_and_the_others_are_whole() {
    // One byte off, so that the cut would fall into a character at some length or other.
    for shift in 0..4 {
        let long = format!("{}{}", "x".repeat(shift), "😀".repeat(10_000));
        let fields = [("short", "all of it"), ("long", &long), ("other", &"y".repeat(3_000))];
        let line = line(LogFormat::Json, "added item", &fields);
        let json: Json = serde_json::from_str(&line).unwrap();
        let (kept, cut) = kept_and_cut(json["long"].as_str().unwrap());
        assert!(long.starts_with(kept));
        assert_eq!(kept.len() + cut, long.len());
        assert_eq!((&json["message"], &json["short"]), (&"added item".into(), &"all of it".into()));
        assert_eq!((json["other"].as_str().unwrap().len(), &json["sku"]), (3_000, &12.into()));
        assert_eq!(ids_of(&json), Some(ids()));
        assert!(line.len() > MAX_LINE_BYTES - 64, "more was cut than need be: {}", line.len());
    }
}

#[test]
fn in_every_format_a_long_message_leaves_the_ids_and_the_other_values() {
    for format in LogFormat::ALL {
        for message in ["z".repeat(100_000), "\u{1b}\"\\\n".repeat(30_000), "é\u{85}".repeat(9_000)]
        {
            let line = line(format, &message, &[("short", "here")]);
            assert!(line.contains(&"ab".repeat(16)) && line.contains(&"cd".repeat(8)), "{line}");
            assert!(line.contains("here") && line.contains("12") && line.contains("…[+"), "{line}");
            assert!(!line.chars().any(char::is_control), "{format}: {line:?}");
            if let Some(record) = line.find('{').filter(|_| format != LogFormat::Logfmt) {
                let json: Json = serde_json::from_str(&line[record..]).unwrap();
                let (kept, cut) = kept_and_cut(json["message"].as_str().unwrap());
                assert!(message.starts_with(kept) && kept.len() + cut == message.len());
            }
        }
    }
}

#[test]
fn a_line_within_the_cap_is_whole_and_one_byte_more_is_cut() {
    let bare = line(LogFormat::Text, "m", &[]).len() - 1;
    let room = MAX_LINE_BYTES - 1 - bare;
    assert!(line(LogFormat::Text, &"m".repeat(room), &[]).ends_with("m sku=12"));
    let cut = line(LogFormat::Text, &"m".repeat(room + 1), &[]);
    assert!(cut.ends_with(" bytes] sku=12"), "{cut}");
}

#[test]
fn many_long_values_are_cut_as_far_as_it_takes() {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for format in LogFormat::ALL {
        let long = "\u{7f}".repeat(20_000);
        let fields = NAMES.map(|name| (name, long.as_str()));
        let line = line(format, &long, &fields);
        assert!(line.contains(&"ab".repeat(16)) && line.contains("12"), "{line}");
        if format == LogFormat::Json {
            let json: Json = serde_json::from_str(&line).unwrap();
            assert!(NAMES.iter().all(|name| kept_and_cut(json[name].as_str().unwrap()).1 > 0));
        }
    }
}

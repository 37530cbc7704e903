//! The strings of `tests/fixtures/hostile-strings/strings.json`, written by hand, each in every place of a line.
//!
//! The lines that are made of them are in files beside it, one for each way to write a line. The agent's tests
//! read those and must find the right ids. When lines are meant to change, this test writes them anew if
//! `SPANLINE_WRITE_FIXTURES` is set.

use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/hostile-strings");

fn strings() -> Vec<String> {
    let json = std::fs::read_to_string(format!("{FOLDER}/strings.json")).unwrap();
    let strings: Vec<Json> = serde_json::from_str(&json).unwrap();
    let text = |json: &Json| match json {
        Json::String(text) => text.clone(),
        long => long["text"].as_str().unwrap().repeat(long["times"].as_u64().unwrap() as usize),
    };
    strings.iter().map(text).collect()
}

/// The first line is in a span whose ids are 1, the second is in none, the third in one whose ids are 3.
fn ids_of_line(number: usize) -> Option<SpanIds> {
    (number % 2 == 1).then(|| SpanIds {
        trace_id: (number as u128).to_be_bytes(),
        span_id: (number as u64).to_be_bytes(),
        sampled: true,
    })
}

#[test]
fn each_hand_written_string_is_harmless_in_every_place_and_makes_the_lines_that_the_agent_reads() {
    let mut strings = strings();
    strings.retain(|text| text.len() < 256);
    assert!(strings.len() >= 200, "{}", strings.len());
    for look in Look::ALL {
        let mut lines = String::new();
        for number in 1..=strings.len() {
            // From one line to the next each string moves from one place to another.
            let place = |offset: usize| &*strings[(number + offset * 47) % strings.len()];
            let fields = [(place(2), place(3)), (place(4), place(5))];
            let data = Data {
                message: place(0),
                target: place(1),
                file: "src/cart.rs",
                fields: &fields,
                ids: ids_of_line(number),
            };
            let line = data.written(&Renderer::new(&look.settings()));
            assert_harmless(look, &line, data.ids);
            data.assert_read_back(look, &line);
            lines.push_str(&line);
            lines.push('\n');
        }
        let path = format!("{FOLDER}/{}.log", look.name());
        if std::env::var_os("SPANLINE_WRITE_FIXTURES").is_some() {
            std::fs::write(&path, &lines).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        for (number, (line, expected)) in lines.lines().zip(expected.lines()).enumerate() {
            assert_eq!(line, expected, "line {} of {path}", number + 1);
        }
        assert_eq!(lines, expected, "{path}");
    }
}

#[test]
fn each_hand_written_string_reads_back_from_every_kind_of_field() {
    let strings = strings();
    for look in Look::ALL {
        assert_every_kind_reads_back(look, &strings);
    }
}

/// A target and a field's name are known at compile time, but for those of the `log` crate; a file's and a
/// service's name are the system's and the environment's.
#[test]
fn each_hand_written_string_is_harmless_as_a_file_and_as_a_service() {
    let strings = strings();
    for look in Look::ALL {
        for (number, text) in strings.iter().enumerate() {
            let ids = ids_of_line(number);
            let data = Data { message: "m", target: "t", file: text, fields: &[], ids };
            let mut settings = look.settings();
            settings.service_name = text.as_str().into();
            let line = data.written(&Renderer::new(&settings));
            assert_harmless(look, &line, ids);
            data.assert_read_back(look, &line);
        }
    }
}

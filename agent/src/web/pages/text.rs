//! Text from telemetry, cut to what a page can carry.

/// A line's text is shown up to here; the read API has all of it.
const MAX_SHOWN_BYTES: usize = 8 * 1024;

/// A part of a text, and whether it is what the reader searched for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) is_match: bool,
}

/// `text`, or its beginning and how much is missing.
pub(super) fn shown(text: &str) -> String {
    if text.len() <= MAX_SHOWN_BYTES {
        return text.to_owned();
    }
    let mut end = MAX_SHOWN_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …[+{} bytes]", &text[..end], text.len() - end)
}

/// `text` cut where `needle` begins and ends; `A` and `a` are the same, as in the search.
pub(super) fn parts(text: &str, needle: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |text: &str, is_match| {
        if !text.is_empty() {
            parts.push(Part { text: text.to_owned(), is_match });
        }
    };
    if needle.is_empty() {
        add(text, false);
        return parts;
    }
    // ASCII letters keep their length and place in lower case, so the offsets fit `text`.
    let (haystack, needle) = (text.to_ascii_lowercase(), needle.to_ascii_lowercase());
    let mut rest = 0;
    for (start, found) in haystack.match_indices(&needle) {
        add(&text[rest..start], false);
        rest = start + found.len();
        add(&text[start..rest], true);
    }
    add(&text[rest..], false);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        let text = "é".repeat(MAX_SHOWN_BYTES);
        let shown = shown(&text);
        assert!(shown.ends_with(" …[+8192 bytes]"), "{}", &shown[shown.len() - 40..]);
        assert_eq!(super::shown("short"), "short");
    }

    #[test]
    fn what_was_searched_for_is_marked_in_either_case() {
        let marked: Vec<_> = parts("An error: ERRORS", "Error")
            .into_iter()
            .map(|part| (part.text, part.is_match))
            .collect();
        let expected =
            [("An ", false), ("error", true), (": ", false), ("ERROR", true), ("S", false)];
        assert_eq!(marked, expected.map(|(text, is_match)| (text.to_owned(), is_match)));
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text(text in "[aAéßK ]{0,20}", needle in "[aAéK]{0,2}") {
            let joined: String = parts(&text, &needle).into_iter().map(|part| part.text).collect();
            prop_assert_eq!(joined, text);
        }
    }
}

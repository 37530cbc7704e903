//! Text from telemetry, cut to what a page can carry.

/// A line's text is shown up to here; the read API has all of it.
const MAX_SHOWN_BYTES: usize = 8 * 1024;

/// Matches beyond this many in one text are not marked.
const MAX_MARKED: usize = 64;

/// Attributes on one page may take this much; a sender decides how many there are.
const MAX_ATTRIBUTE_BYTES: usize = 2 * 1024 * 1024;

/// What an attribute costs beside its text, so that empty ones are bounded too.
const ATTRIBUTE_BYTES: usize = 64;

/// What is left of the room for attributes on a page.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    was_refused: bool,
}

/// A part of a text, and whether it is what the reader searched for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) text: String,
    pub(super) is_match: bool,
}

/// `text`, or its beginning and how much is missing; what a browser would hide or obey is visible.
pub(super) fn shown(text: &str) -> String {
    if text.len() <= MAX_SHOWN_BYTES {
        return text.chars().map(visible).collect();
    }
    let mut end = MAX_SHOWN_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let beginning: String = text[..end].chars().map(visible).collect();
    format!("{beginning} …[+{} bytes]", text.len() - end)
}

/// A control character as its picture, but for those that lay out text; and a mark in place of
/// what turns the direction of writing, because with it a line reads as something else.
fn visible(c: char) -> char {
    match c {
        '\t' | '\n' => c,
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    }
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
    for (start, found) in haystack.match_indices(&needle).take(MAX_MARKED) {
        add(&text[rest..start], false);
        rest = start + found.len();
        add(&text[start..rest], true);
    }
    add(&text[rest..], false);
    parts
}

// === impl Room ===

impl Room {
    pub(super) fn new() -> Self {
        Self { bytes: MAX_ATTRIBUTE_BYTES, was_refused: false }
    }

    /// Whether there is room for a name and a value, which is then taken.
    pub(super) fn take(&mut self, name: &str, value: &str) -> bool {
        match self.bytes.checked_sub(ATTRIBUTE_BYTES + name.len() + value.len()) {
            Some(left) => self.bytes = left,
            None => self.was_refused = true,
        }
        !self.was_refused
    }

    /// Whether something had to be left out.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused
    }
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
    fn what_a_browser_would_hide_or_obey_is_visible() {
        assert_eq!(shown("\x1b[31mred\0\r\n\tend\x7f"), "␛[31mred␀␍\n\tend␡");
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{9b}é"), "a\u{fffd}b\u{fffd}c\u{fffd}é");
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

    #[test]
    fn room_is_refused_for_good_once_it_is_used_up() {
        let mut room = Room::new();
        let value = "x".repeat(MAX_ATTRIBUTE_BYTES / 2);
        assert!(room.take("a", &value) && !room.was_refused());
        assert!(!room.take("b", &value) && room.was_refused());
        assert!(!room.take("", ""));
    }

    proptest! {
        #[test]
        fn the_parts_are_the_text(text in "[aAéßK ]{0,20}", needle in "[aAéK]{0,2}") {
            let joined: String = parts(&text, &needle).into_iter().map(|part| part.text).collect();
            prop_assert_eq!(joined, text);
        }
    }
}

//! How bad the writer says it is: the level word where the known line formats have it.

/// How many words at a line's beginning may hold the level; behind them stands what data can reach.
const LEADING_WORDS: usize = 4;
/// Longest word looked at: no level is longer.
const MAX_LEVEL_BYTES: usize = 10;

/// A level: OTLP's number for it, and the word as the writer spelled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severity<'a> {
    /// OTLP's severity number.
    pub number: i32,
    /// The word.
    pub text: &'a str,
}

/// The level of a line that is not json: `[INFO] …`, `<time> INFO …`, or `… level=info …`.
pub fn find(line: &[u8]) -> Option<Severity<'_>> {
    if let [b'[', rest @ ..] = line {
        let end = rest.iter().take(MAX_LEVEL_BYTES + 1).position(|&byte| byte == b']')?;
        return of_word(&rest[..end]);
    }
    let words = line.split(|&byte| byte == b' ').take(LEADING_WORDS);
    words.into_iter().find_map(|word| match word.strip_prefix(b"level=") {
        Some(level) => of_word(level),
        // In running text only capitals are a level: "error while …" is a sentence.
        None if word.first().is_some_and(u8::is_ascii_uppercase) => {
            of_word(word).filter(|level| level.text.bytes().all(|byte| byte.is_ascii_uppercase()))
        }
        None => None,
    })
}

/// The level that a word is, in whichever case.
pub fn of_word(word: &[u8]) -> Option<Severity<'_>> {
    if word.len() > MAX_LEVEL_BYTES {
        return None;
    }
    let mut lower = [0; MAX_LEVEL_BYTES];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let number = match &*lower {
        b"trace" | b"silly" => 1,
        b"debug" | b"verbose" => 5,
        b"info" => 9,
        b"notice" => 10,
        b"warn" | b"warning" => 13,
        b"error" => 17,
        b"critical" | b"fatal" | b"panic" => 21,
        _ => return None,
    };
    Some(Severity { number, text: std::str::from_utf8(word).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(line: &str) -> Option<i32> {
        find(line.as_bytes()).map(|severity| severity.number)
    }

    #[test]
    fn the_level_is_found_where_each_format_has_it() {
        assert_eq!(number("2026-11-23T17:28:00.123456Z WARN checkout: m"), Some(13));
        assert_eq!(number("[SILLY] poll {}"), Some(1));
        assert_eq!(number("2026-11-23 17:28:00,123 WARNING [a] [b:1] - m"), Some(13));
        assert_eq!(number("ts=2026-11-23T17:28:00Z level=error msg=m"), Some(17));
    }

    #[test]
    fn a_word_in_running_text_is_no_level() {
        assert_eq!(number("the error is known"), None);
        assert_eq!(number("one two three four ERROR"), None);
        assert_eq!(number("[checkout] m"), None);
        assert_eq!(number(""), None);
    }
}

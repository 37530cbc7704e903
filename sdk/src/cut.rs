//! Texts that are too long.

/// As much of a text's beginning as fits into `max_bytes` without splitting a character.
#[inline]
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_kept_whole_or_not_at_all() {
        let cuts = |text: &'static str| (0..=text.len()).map(move |bytes| cut(text, bytes));
        assert_eq!(cuts("aé€").collect::<Vec<_>>(), ["", "a", "a", "aé", "aé", "aé", "aé€"]);
        assert_eq!(cut("é", usize::MAX), "é");
    }
}

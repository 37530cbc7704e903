//! Reads a logfmt line back, and finds fault with whatever is not exactly as it should be.

/// The pairs of a line, in their order.
pub(super) fn pairs(line: &str) -> Vec<(String, String)> {
    let mut rest = line;
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        if !pairs.is_empty() {
            rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space before {rest:?}"));
        }
        let key_end = rest.find(['=', ' ', '"']).unwrap_or(rest.len());
        let (key, value) = if rest[key_end..].starts_with('=') {
            (&rest[..key_end], &rest[key_end + 1..])
        } else {
            // An `=` that would look like that of an id.
            let escaped = rest[..key_end].rfind("_id\\x3d").unwrap_or_else(|| panic!("{rest:?}"));
            (&rest[..escaped + 3], &rest[escaped + 7..])
        };
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted);
                (unescaped(&quoted[..end]), &quoted[end + 1..])
            }
            None => {
                let end = value.find(' ').unwrap_or(value.len());
                assert!(!value[..end].contains(['\\', '"', '=']), "bare: {value:?}");
                (value[..end].to_owned(), &value[end..])
            }
        };
        pairs.push((unescaped(key), value));
        rest = after;
    }
    pairs
}

fn closing_quote(quoted: &str) -> usize {
    let mut is_escaped = false;
    let end = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    });
    end.unwrap_or_else(|| panic!("no end: {quoted:?}"))
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        let code = |digits: usize| {
            let code = u32::from_str_radix(&part[1..=digits], 16).unwrap();
            (char::from_u32(code).unwrap(), &part[digits + 1..])
        };
        let (character, after) = match part.as_bytes().first() {
            // Two backslashes in a row have nothing between them.
            None => ('\\', parts.next().unwrap()),
            Some(b'n') => ('\n', &part[1..]),
            Some(b'r') => ('\r', &part[1..]),
            Some(b't') => ('\t', &part[1..]),
            Some(b'"') => ('"', &part[1..]),
            Some(b'x') => code(2),
            Some(b'u') => code(4),
            Some(_) => panic!("no escape: {part:?}"),
        };
        plain.push(character);
        plain.push_str(after);
    }
    plain
}

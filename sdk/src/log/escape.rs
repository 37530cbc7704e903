//! What data may not do to a line: break it, steer a terminal, or pass for ids.
//!
//! Every byte of a line that the program's data can reach goes through one of the functions here.
//! In all of them a control character (C0, DEL, C1, U+2028, U+2029) becomes an escape. A TAB stays
//! where the format allows it.
//!
//! Ids are found in lines by the first match of `trace_id=(\w+)` and `span_id=(\w+)`. Where data
//! comes before our ids, or there are none, a [`Guard::On`] takes the `=` away from such a text.

use super::fields::Text;
use super::out::Out;

/// Whether a `trace_id=` or `span_id=` in data could be taken for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// It could: its `=` is written as an escape.
    On,
    /// Our ids are already on the line, to the left.
    Off,
}

impl Guard {
    /// The guard of what follows the place where ids are printed when there are any.
    pub(crate) fn unless(ids_are_printed: bool) -> Self {
        if ids_are_printed { Self::Off } else { Self::On }
    }
}

/// Appends text as it is, but for control characters: for messages, which are prose.
#[inline]
pub(crate) fn push_prose(out: &mut Out, text: Text<'_>, guard: Guard) {
    match guard {
        Guard::On => push_escaped::<{ CONTROL | EQUALS }>(out, text.kept, Dialect::Plain),
        Guard::Off => push_escaped::<CONTROL>(out, text.kept, Dialect::Plain),
    }
    push_cut_mark(out, text);
}

/// Appends the value of a `key=value` pair: bare if that is unambiguous, else quoted.
pub(crate) fn push_value(out: &mut Out, text: Text<'_>, guard: Guard) {
    let is_bare = !text.kept.is_empty()
        && text.cut_bytes == 0
        && has_no_stop::<NEVER_BARE>(text.kept.as_bytes());
    if is_bare {
        out.push_str(text.kept);
        return;
    }
    const QUOTED: u8 = CONTROL | TAB | QUOTE | BACKSLASH;
    out.push_ascii(b"\"");
    match guard {
        Guard::On => push_escaped::<{ QUOTED | EQUALS }>(out, text.kept, Dialect::Plain),
        Guard::Off => push_escaped::<QUOTED>(out, text.kept, Dialect::Plain),
    }
    push_cut_mark(out, text);
    out.push_ascii(b"\"");
}

/// Appends the ` key=` of a `key=value` pair. In the key itself every character that could end it is
/// escaped, whatever the guard.
#[inline]
pub(crate) fn push_key(out: &mut Out, prefix: &str, name: &str, guard: Guard) {
    let is_id_key = guard == Guard::On && names_an_id(name.as_bytes());
    if prefix.is_empty() && !is_id_key && is_plain::<NEVER_BARE>(name.as_bytes()) {
        return out.push_between(b' ', name, b'=');
    }
    out.push_ascii(b" ");
    out.push_str(prefix);
    push_escaped::<NEVER_BARE>(out, name, Dialect::Key);
    if is_id_key {
        out.push_ascii(b"\\x3d");
    } else {
        out.push_ascii(b"=");
    }
}

/// Appends a JSON string, quotes included.
///
/// An `=` that would make `trace_id=` is always written `\u003d`: to a JSON parser it is the same
/// text, and a search for ids in the raw line does not find it.
pub(crate) fn push_json(out: &mut Out, text: Text<'_>) {
    out.push_ascii(b"\"");
    push_json_part(out, text.kept);
    push_cut_mark(out, text);
    out.push_ascii(b"\"");
}

/// Appends text as the inside of a JSON string.
pub(crate) fn push_json_part(out: &mut Out, text: &str) {
    push_escaped::<{ CONTROL | TAB | QUOTE | BACKSLASH | EQUALS }>(out, text, Dialect::Json);
}

/// `…[+N bytes]`, where N is what was cut.
#[inline]
pub(crate) fn push_cut_mark(out: &mut Out, text: Text<'_>) {
    if text.cut_bytes > 0 {
        push_cut_bytes(out, text.cut_bytes);
    }
}

#[cold]
fn push_cut_bytes(out: &mut Out, bytes: usize) {
    out.push_str("…[+");
    super::digits::push_u64(out, bytes as u64);
    out.push_str(" bytes]");
}

/// How an escape is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// `\n`, `\x1b`, `\u0085`, and `\x3d` for an `=` that must not be one.
    Plain,
    /// As `Plain`, but each stop is an escape, also `=` and space.
    Key,
    /// JSON's.
    Json,
}

const CONTROL: u8 = 1;
const TAB: u8 = 2;
const QUOTE: u8 = 4;
const BACKSLASH: u8 = 8;
const EQUALS: u8 = 16;
const SPACE: u8 = 32;
const NEVER_BARE: u8 = CONTROL | TAB | QUOTE | BACKSLASH | EQUALS | SPACE;

/// Each byte's class. A byte that only begins a control character (C1 begins with C2, U+2028 with
/// E2) counts as one here, and is looked at closer.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = CONTROL;
        byte += 1;
    }
    classes[0x7f] = CONTROL;
    classes[0xc2] = CONTROL;
    classes[0xe2] = CONTROL;
    classes[b'\t' as usize] = TAB;
    classes[b'"' as usize] = QUOTE;
    classes[b'\\' as usize] = BACKSLASH;
    classes[b'=' as usize] = EQUALS;
    classes[b' ' as usize] = SPACE;
    classes
};

fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

/// Where the first byte of these classes is.
fn find_stop(bytes: &[u8], stops: u8) -> Option<usize> {
    bytes.iter().position(|byte| class(*byte) & stops != 0)
}

#[inline]
fn has_no_stop<const STOPS: u8>(bytes: &[u8]) -> bool {
    is_plain::<STOPS>(bytes) || find_stop(bytes, STOPS).is_none()
}

/// Whether there is no stop; "yes" is certain.
///
/// Hardly any text has one, so eight bytes are asked at once; only a text that may have one is looked at.
#[inline]
fn is_plain<const STOPS: u8>(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<8>() else {
        // So few bytes are asked faster one by one.
        return bytes.iter().fold(0, |classes, byte| classes | class(*byte)) & STOPS == 0;
    };
    // The last eight overlap those before.
    let (eights, _) = bytes.as_chunks::<8>();
    let may_stop = |eight: &[u8; 8]| may_stop::<STOPS>(u64::from_le_bytes(*eight));
    !(eights.iter().any(may_stop) || may_stop(last))
}

/// Whether one of eight bytes may be a stop; "no" is certain.
#[inline]
fn may_stop<const STOPS: u8>(eight: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // The high bits of bytes below a bound; of a byte above one that is below, perhaps, too.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word;
    let is = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
    let lowest = if STOPS & SPACE != 0 { 0x21 } else { 0x20 };
    let mut found = eight | below(eight, lowest) | is(0x7f);
    if STOPS & EQUALS != 0 {
        found |= is(b'=');
    }
    if STOPS & QUOTE != 0 {
        found |= is(b'"') | is(b'\\');
    }
    found & HIGH_BITS != 0
}

/// What is a stop is known where this is called, so that each caller asks for no more than it must.
#[inline]
fn push_escaped<const STOPS: u8>(out: &mut Out, text: &str, dialect: Dialect) {
    if is_plain::<STOPS>(text.as_bytes()) {
        out.push_str(text);
    } else {
        escape(out, text, STOPS, dialect);
    }
}

fn escape(out: &mut Out, text: &str, stops: u8, dialect: Dialect) {
    let mut rest = text;
    let mut at = 0;
    while let Some(step) = find_stop(&rest.as_bytes()[at..], stops) {
        at += step;
        let Some(stop) = rest[at..].chars().next() else { break };
        let is_harmless = match stop {
            '=' => dialect != Dialect::Key && !names_an_id(&rest.as_bytes()[..at]),
            '\u{a0}'.. => !matches!(stop, '\u{2028}' | '\u{2029}'),
            _ => false,
        };
        let after = at + stop.len_utf8();
        if is_harmless {
            at = after;
            continue;
        }
        out.push_str(&rest[..at]);
        push_escape(out, stop, dialect);
        rest = &rest[after..];
        at = 0;
    }
    out.push_str(rest);
}

/// Whether an `=` after these bytes would make it look like an id.
fn names_an_id(before: &[u8]) -> bool {
    before.ends_with(b"trace_id") || before.ends_with(b"span_id")
}

fn push_escape(out: &mut Out, escaped: char, dialect: Dialect) {
    let code = u32::from(escaped);
    match escaped {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '"' if dialect != Dialect::Key => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        _ if code < 0x80 && dialect != Dialect::Json => {
            out.push_str("\\x");
            push_hex(out, code, 2);
        }
        _ => {
            out.push_str("\\u");
            push_hex(out, code, 4);
        }
    }
}

fn push_hex(out: &mut Out, code: u32, digits: u32) {
    for place in (0..digits).rev() {
        let nibble = (code >> (4 * place)) & 0x0f;
        out.push(char::from_digit(nibble, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose(text: &str, guard: Guard) -> String {
        let mut out = Out::default();
        push_prose(&mut out, Text::whole(text), guard);
        out.as_str().to_owned()
    }

    fn value(text: &str, guard: Guard) -> String {
        let mut out = Out::default();
        push_value(&mut out, Text::whole(text), guard);
        out.as_str().to_owned()
    }

    fn key(name: &str, guard: Guard) -> String {
        let mut out = Out::default();
        push_key(&mut out, "", name, guard);
        out.as_str().to_owned()
    }

    fn assert_found_everywhere<const STOPS: u8>() {
        for byte in 0..=255 {
            for place in 0..20 {
                let mut bytes = [b'x'; 20];
                bytes[place] = byte;
                let is_stop = class(byte) & STOPS != 0;
                // A text of any length that ends here or later, or begins here or before.
                for text in (0..=place).map(|start| &bytes[start..]).chain([&bytes[..=place]]) {
                    assert!(!(is_stop && is_plain::<STOPS>(text)), "{byte} in {text:?}");
                    assert_eq!(has_no_stop::<STOPS>(text), !is_stop, "{byte} in {text:?}");
                }
            }
        }
    }

    #[test]
    fn a_stop_is_found_wherever_it_is() {
        assert_found_everywhere::<CONTROL>();
        assert_found_everywhere::<{ CONTROL | EQUALS }>();
        assert_found_everywhere::<{ CONTROL | TAB | QUOTE | BACKSLASH }>();
        assert_found_everywhere::<NEVER_BARE>();
    }

    #[test]
    fn prose_keeps_everything_but_control_characters() {
        assert_eq!(prose("a\tb \\ \"c\" é – 😀", Guard::On), "a\tb \\ \"c\" é – 😀");
        assert_eq!(
            prose("\r\n\u{1b}[31m\u{7f}\u{80}\u{9f}\u{a0}\u{2027}\u{2028}\u{2029}\0", Guard::Off),
            "\\r\\n\\x1b[31m\\x7f\\u0080\\u009f\u{a0}\u{2027}\\u2028\\u2029\\x00"
        );
    }

    #[test]
    fn an_equals_sign_is_taken_only_from_what_looks_like_an_id_and_only_under_guard() {
        assert_eq!(prose("a=1 trace_id=2 span_id=3", Guard::Off), "a=1 trace_id=2 span_id=3");
        assert_eq!(
            prose("a=1 trace_id=2 span_id=3", Guard::On),
            "a=1 trace_id\\x3d2 span_id\\x3d3"
        );
        assert_eq!(prose("\nxtrace_id==1", Guard::On), "\\nxtrace_id\\x3d=1");
    }

    #[test]
    fn a_value_is_bare_or_quoted() {
        assert_eq!(value("plain/α-1", Guard::On), "plain/α-1");
        assert_eq!(value("", Guard::On), "\"\"");
        assert_eq!(value("a b\t\"\\\n", Guard::On), "\"a b\\t\\\"\\\\\\n\"");
        assert_eq!(value("span_id=7", Guard::Off), "\"span_id=7\"");
        assert_eq!(value("span_id=7", Guard::On), "\"span_id\\x3d7\"");
        assert_eq!(value("\u{2028}", Guard::Off), "\"\\u2028\"");
    }

    #[test]
    fn a_key_cannot_end_early_or_pass_for_an_id() {
        assert_eq!(key("sku", Guard::On), " sku=");
        assert_eq!(key("a b=\"\\\n", Guard::Off), " a\\x20b\\x3d\\x22\\\\\\n=");
        assert_eq!(key("my_trace_id", Guard::Off), " my_trace_id=");
        assert_eq!(key("my_trace_id", Guard::On), " my_trace_id\\x3d");
        assert_eq!(key("trace_id=x", Guard::Off), " trace_id\\x3dx=");
    }

    #[test]
    fn a_json_string_reads_back_as_what_it_was() {
        let hostile = "\"\\/\u{8}\t\n\u{1b}\u{7f}\u{9f}\u{2028}é😀 trace_id=1";
        let mut out = Out::default();
        push_json(&mut out, Text::whole(hostile));
        assert_eq!(serde_json::from_str::<String>(out.as_str()).unwrap(), hostile);
        assert!(!out.as_str().contains("trace_id="));
        assert!(!out.as_str().chars().any(char::is_control), "{}", out.as_str());
    }

    #[test]
    fn a_cut_text_says_how_much_is_gone() {
        let mut out = Out::default();
        push_value(&mut out, Text { kept: "abc", cut_bytes: 12 }, Guard::On);
        assert_eq!(out.as_str(), "\"abc…[+12 bytes]\"");
    }
}

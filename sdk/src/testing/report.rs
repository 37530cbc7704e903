//! What a failed assertion says: what was wanted, and everything that there is.

use std::fmt::{Display, Write as _};

/// There is not exactly one of these.
pub(super) fn not_one(says: &str, wanted: &str, found: usize, kept: &[impl Display]) -> String {
    let what = match found {
        0 => format!("no {says} {wanted:?}"),
        _ => format!("not one {says} {wanted:?}, but {found} do"),
    };
    let noun = says.split(' ').next().unwrap_or(says);
    list(&what, noun, kept)
}

/// What is wrong, and a list of what there is.
pub(super) fn list(what: &str, noun: &str, kept: &[impl Display]) -> String {
    let mut report = match kept.len() {
        0 => format!("{what}; there is no {noun} at all"),
        1 => format!("{what}; there is one {noun}:"),
        count => format!("{what}; there are {count} {noun}s:"),
    };
    for one in kept {
        // Writing to a string cannot fail.
        let _ = write!(report, "\n  {one}");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_wanted_and_what_there_is() {
        assert_eq!(
            not_one("line says", "hello", 0, &["INFO a: hallo", "INFO a: hola"]),
            "no line says \"hello\"; there are 2 lines:\n  INFO a: hallo\n  INFO a: hola"
        );
        assert_eq!(
            not_one("line says", "hello", 2, &["INFO a: hello", "INFO b: hello"]),
            "not one line says \"hello\", but 2 do; there are 2 lines:\n  INFO a: hello\n  INFO b: hello"
        );
        assert_eq!(
            list("no span is as wanted", "span", &["a"; 0]),
            "no span is as wanted; there is no span at all"
        );
    }
}

//! A request's method, as the conventions have it: some are known by name, and all others are one.

use crate::cut::cut;
use crate::span;

/// Unless `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` names others.
const KNOWN: [&str; 9] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// How many methods a name can be kept for: the known ones, and the one for all others.
pub(super) const SLOTS: usize = KNOWN.len() + 1;

/// A method somebody made up needs no more than this to be recognised.
const MAX_BYTES: usize = 32;

#[derive(Clone, Copy, Debug)]
pub(super) struct Method<'a> {
    /// What a span's name begins with.
    pub(super) name: &'static str,
    /// As an attribute: `_OTHER` for those that are not known.
    pub(super) value: &'static str,
    /// Where a name that begins with it can be kept; one that a setting has added has no slot.
    pub(super) slot: Option<usize>,
    original: Option<&'a str>,
}

impl<'a> Method<'a> {
    /// `known` takes the place of the conventions' list.
    pub(super) fn of(method: &'a http::Method, known: Option<&[&'static str]>) -> Self {
        let text = method.as_str();
        let slot = KNOWN.iter().position(|known| *known == text);
        let name = match known {
            None => slot.map(|slot| KNOWN[slot]),
            Some(known) => known.iter().find(|known| **known == text).copied(),
        };
        match name {
            Some(name) => Self { name, value: name, slot, original: None },
            None => {
                let (slot, original) = (Some(SLOTS - 1), Some(cut(text, MAX_BYTES)));
                Self { name: "HTTP", value: "_OTHER", slot, original }
            }
        }
    }

    pub(super) fn describe(&self, said: &mut span::Request) {
        if let Some(original) = self.original {
            said.say(span::Text::MethodOriginal, original);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_is_not_known_is_other() {
        let made_up = http::Method::from_bytes("BREW".repeat(100).as_bytes()).unwrap();
        let made_up = Method::of(&made_up, None);
        assert_eq!((made_up.name, made_up.value), ("HTTP", "_OTHER"));
        assert_eq!(made_up.original.unwrap().len(), MAX_BYTES);
        assert_eq!(Method::of(&http::Method::GET, None).name, "GET");
    }

    #[test]
    fn a_setting_says_which_methods_are_known() {
        let report = http::Method::from_bytes(b"REPORT").unwrap();
        let known = Some(&["REPORT", "GET"][..]);
        assert_eq!(Method::of(&report, known).value, "REPORT");
        assert_eq!(Method::of(&http::Method::GET, known).slot, Some(0));
        assert_eq!(Method::of(&http::Method::POST, known).value, "_OTHER");
    }
}

//! Fields of a log entry as the Collector writes them: `body`, `attributes.time`, `resource["a.b"]`.

use std::fmt;

/// A place in a log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Which part of the entry.
    pub root: Root,
    /// The keys that lead on from there; none for the whole part.
    pub keys: Vec<String>,
}

/// A part of a log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// What was written.
    Body,
    /// The record's attributes.
    Attributes,
    /// The attributes of whoever wrote it.
    Resource,
}

/// What a field looks like, for faults.
pub(super) const EXPECTED: &str =
    "a field such as body, attributes.key, attributes[\"a.b\"] or resource[\"a.b\"]";

impl Field {
    /// The whole of a part.
    pub(super) fn whole(root: Root) -> Self {
        Self { root, keys: Vec::new() }
    }

    /// Reads a field; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let root = match &text[..end] {
            "body" | "$body" => Root::Body,
            "attributes" | "$attributes" => Root::Attributes,
            "resource" | "$resource" => Root::Resource,
            _ => return None,
        };
        let (mut keys, mut rest) = (Vec::new(), &text[end..]);
        while !rest.is_empty() {
            if let Some(bracket) = rest.strip_prefix('[') {
                let quote = bracket.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
                let (key, after) = bracket[1..].split_once(quote)?;
                keys.push(key.to_owned());
                rest = after.strip_prefix(']')?;
            } else {
                let dotted = rest.strip_prefix('.')?;
                let end = dotted.find(['.', '[']).unwrap_or(dotted.len());
                keys.push(dotted[..end].to_owned());
                rest = &dotted[end..];
            }
            if keys.last().is_none_or(String::is_empty) {
                return None;
            }
        }
        Some(Self { root, keys })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.root {
            Root::Body => "body",
            Root::Attributes => "attributes",
            Root::Resource => "resource",
        })?;
        self.keys.iter().try_for_each(|key| write!(f, "[{key:?}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_dots_and_brackets() {
        for (text, expected) in [
            ("body", "body"),
            ("attributes.time", "attributes[\"time\"]"),
            ("attributes[\"log.file.path\"]", "attributes[\"log.file.path\"]"),
            ("resource['a'].b", "resource[\"a\"][\"b\"]"),
        ] {
            assert_eq!(Field::parse(text).unwrap().to_string(), expected);
        }
        for wrong in [
            "",
            "time",
            "attributes.",
            "attributes[time]",
            "body..a",
            "attributes[\"a\"",
            "attributes[\"\"]",
        ] {
            assert_eq!(Field::parse(wrong), None, "{wrong}");
        }
    }
}

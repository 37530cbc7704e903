//! `key_value_parser`: `a=1 b="two words"` becomes fields. Quotes hold what would part pairs, and are taken away.

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::Unfit;
use super::entry::{Entry, map_value, put, text_value};
use crate::config::Parse;

/// Most pairs of one entry: more are no pairs that someone wrote, and looking each up takes time.
const MAX_PAIRS: usize = 1_000;

pub(super) fn run(
    entry: &mut Entry,
    delimiter: &str,
    pair_delimiter: &str,
    parse: &Parse,
) -> Result<(), Unfit> {
    let text = entry.text(&parse.from).filter(|text| !text.is_empty()).ok_or(Unfit)?;
    let mut found: Vec<KeyValue> = Vec::new();
    for pair in pairs(text, pair_delimiter).ok_or(Unfit)? {
        let (key, value) = pair.split_once(delimiter).ok_or(Unfit)?;
        if found.len() == MAX_PAIRS {
            return Err(Unfit);
        }
        put(&mut found, key.trim(), text_value(value.trim()));
    }
    entry.set(&parse.to, map_value(found));
    Ok(())
}

/// Parts a text where `delimiter` stands outside of quotes; `None` when a quote does not end.
fn pairs(text: &str, delimiter: &str) -> Option<Vec<String>> {
    let (mut pairs, mut pair) = (Vec::new(), String::new());
    let (mut quote, mut is_escaped) = (None, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if quote.is_none()
            && let Some(after) = rest.strip_prefix(delimiter)
        {
            if !pair.is_empty() {
                pairs.push(std::mem::take(&mut pair));
            }
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if !is_escaped {
            match quote {
                None if matches!(c, '"' | '\'') => {
                    quote = Some(c);
                    continue;
                }
                Some(open) if open == c => {
                    quote = None;
                    continue;
                }
                _ => {}
            }
        }
        is_escaped = c == '\\' && !is_escaped;
        pair.push(c);
    }
    if !pair.is_empty() {
        pairs.push(pair);
    }
    quote.is_none().then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_what_would_part_pairs() {
        let parted = |text| pairs(text, " ").map(|pairs| pairs.join("|"));
        assert_eq!(
            parted("a=1  b=\"two words\" c='it''s' ").as_deref(),
            Some("a=1|b=two words|c=its")
        );
        assert_eq!(parted(r#"a="say \"x\" y""#).as_deref(), Some(r#"a=say \"x\" y"#));
        assert_eq!(parted("a=\"open"), None);
        assert_eq!(pairs("a:1;;b:é", ";;").unwrap(), ["a:1", "b:é"]);
    }
}

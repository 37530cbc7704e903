//! The labels of a series: as attributes for OTLP, and as the text that an exposition repeats.

use std::sync::Arc;

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;

use super::name;

/// The label of the series that takes what is beyond a family's cap, as OpenTelemetry calls it.
const OVERFLOW: &str = "otel.metric.overflow";

/// Labels that never change, written once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct LabelSet {
    /// As OTLP has them, the defaults included.
    pub(super) attributes: Box<[KeyValue]>,
    /// `a="b",c="d"`, escaped.
    pub(super) text: Box<str>,
    /// How many of the attributes are the series' own; the defaults follow.
    own: usize,
}

/// Labels that every series carries, unless it has one of the name itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultLabels(Arc<[KeyValue]>);

impl DefaultLabels {
    pub(crate) fn new(labels: &[(String, String)]) -> Self {
        // A label that cannot be one was told as a fault.
        let labels = labels.iter().filter(|(name, _)| name::is_label_name(name));
        Self(labels.map(|(name, value)| pair(name.clone(), value.clone())).collect())
    }
}

/// A label that is looked for, before it is copied.
pub(super) type Pair<'a> = (&'static str, LabelValue<'a>);

#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum LabelValue<'a> {
    Text(&'a str),
    Number(i64),
}

impl LabelSet {
    pub(super) fn new(own: Vec<KeyValue>, defaults: &DefaultLabels) -> Self {
        let mut attributes = own;
        let own = attributes.len();
        let named: Vec<(String, usize)> = attributes
            .iter()
            .enumerate()
            .map(|(index, pair)| (name::label_name(pair.key.as_str()), index))
            .collect();
        let mut names = named;
        for default in &*defaults.0 {
            let name = name::label_name(default.key.as_str());
            if !names.iter().any(|(taken, _)| *taken == name) {
                names.push((name, attributes.len()));
                attributes.push(default.clone());
            }
        }
        let text = render(&names, &attributes);
        Self { attributes: attributes.into(), text: text.into(), own }
    }

    /// The labels of `target_info`. A scraper and a push's receiver make `job` and `instance` of what is left
    /// out here.
    pub(super) fn of_resource(resource: &Resource) -> Self {
        const JOB_AND_INSTANCE: [&str; 3] =
            ["service.name", "service.namespace", "service.instance.id"];
        let told = resource.iter().filter(|(key, _)| !JOB_AND_INSTANCE.contains(&key.as_str()));
        let mut told: Vec<_> =
            told.map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        told.sort_by(|a, b| a.key.cmp(&b.key));
        Self::new(told, &DefaultLabels::default())
    }

    /// The labels of the series beyond the cap.
    pub(super) fn overflow(defaults: &DefaultLabels) -> Self {
        let labels = Self::new(vec![KeyValue::new(OVERFLOW, true)], defaults);
        Self { own: usize::MAX, ..labels }
    }

    /// Whether the series' own labels have these values, in the family's order.
    pub(super) fn has_values(&self, values: &[&str]) -> bool {
        self.own == values.len()
            && self.own().iter().zip(values).all(
                |(pair, value)| matches!(&pair.value, Value::String(text) if text.as_str() == *value),
            )
    }

    /// Whether the series' own labels are these attributes, in whatever order.
    pub(super) fn has_attributes(&self, attributes: &[KeyValue]) -> bool {
        self.own == attributes.len() && attributes.iter().all(|pair| self.own().contains(pair))
    }

    /// Whether the series' own labels are these, in this order.
    pub(super) fn has_pairs(&self, pairs: &[Pair<'_>]) -> bool {
        self.own == pairs.len()
            && self.own().iter().zip(pairs).all(|(own, (key, value))| {
                own.key.as_str() == *key
                    && match (&own.value, value) {
                        (Value::String(own), LabelValue::Text(value)) => own.as_str() == *value,
                        (Value::I64(own), LabelValue::Number(value)) => own == value,
                        _ => false,
                    }
            })
    }

    /// Whether they are those of the series beyond the cap.
    pub(super) fn is_overflow(&self) -> bool {
        self.own == usize::MAX
    }

    /// The series' own, without the defaults.
    pub(super) fn own(&self) -> &[KeyValue] {
        self.attributes.get(..self.own).unwrap_or_default()
    }
}

/// Different keys may come to one name; Prometheus then joins their values, in the order of the keys.
fn render(names: &[(String, usize)], attributes: &[KeyValue]) -> String {
    let mut text = String::new();
    for (position, (name, index)) in names.iter().enumerate() {
        if names[..position].iter().any(|(earlier, _)| earlier == name) {
            continue;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        text.extend(escaped(&attributes[*index].value.as_str()));
        let mut others: Vec<_> = names[position + 1..]
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, other)| &attributes[*other])
            .collect();
        others.sort_by(|a, b| a.key.cmp(&b.key));
        for other in others {
            text.push(';');
            text.extend(escaped(&other.value.as_str()));
        }
        text.push('"');
    }
    text
}

/// The pieces of a label's value as it is written: quotes, backslashes and line breaks are escaped,
/// everything else may stand.
pub(super) fn escaped(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let special = rest.bytes().position(|byte| matches!(byte, b'\\' | b'"' | b'\n'));
        let (piece, after) = match special {
            Some(0) => (escape(rest), rest.get(1..).unwrap_or_default()),
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        rest = after;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// What stands for the first character.
fn escape(special: &str) -> &'static str {
    match special.as_bytes().first() {
        Some(b'\n') => "\\n",
        Some(b'"') => "\\\"",
        _ => "\\\\",
    }
}

/// The labels that were looked for, to keep.
pub(super) fn owned(pairs: &[Pair<'_>]) -> Vec<KeyValue> {
    let own = |(key, value): &Pair<'_>| match value {
        LabelValue::Text(text) => pair(*key, *text),
        LabelValue::Number(number) => KeyValue::new(*key, *number),
    };
    pairs.iter().map(own).collect()
}

/// A label from texts.
pub(super) fn pair(key: impl Into<Key>, value: impl Into<String>) -> KeyValue {
    KeyValue::new(key, value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(own: Vec<KeyValue>, defaults: &[(&str, &str)]) -> String {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let defaults: Vec<_> = defaults.iter().map(owned).collect();
        LabelSet::new(own, &DefaultLabels::new(&defaults)).text.into()
    }

    #[test]
    fn hostile_values_stay_inside_their_quotes() {
        let own = vec![pair("path", "a\"b\\c\nd\r\u{1b}e")];
        assert_eq!(text(own, &[]), "path=\"a\\\"b\\\\c\\nd\r\u{1b}e\"");
    }

    #[test]
    fn a_default_yields_to_a_label_of_the_series() {
        let own = vec![pair("service", "own")];
        let defaults = [("service", "default"), ("zone", "a")];
        assert_eq!(text(own, &defaults), "service=\"own\",zone=\"a\"");
    }

    #[test]
    fn keys_that_come_to_one_name_share_a_label() {
        let own = vec![pair("a.b", "1"), pair("c", "2"), pair("a_b", "3")];
        assert_eq!(text(own, &[]), "a_b=\"1;3\",c=\"2\"");
    }

    #[test]
    fn attributes_are_found_in_any_order() {
        let set =
            LabelSet::new(vec![pair("a", "1"), KeyValue::new("b", 2)], &DefaultLabels::default());
        assert!(set.has_attributes(&[KeyValue::new("b", 2), pair("a", "1")]));
        assert!(!set.has_attributes(&[pair("a", "1")]));
        assert!(!LabelSet::overflow(&DefaultLabels::default()).has_attributes(&[]));
    }
}

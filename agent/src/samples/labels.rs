//! Labels: attributes under names that Prometheus takes, each name once.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;

use super::{Naming, Refused, names};
use crate::record::{find_text, value_text};

/// A name and its value.
pub type Label = (Box<str>, Box<str>);

/// A series' labels: sorted by name, each name once, no value empty.
pub type Labels = Box<[Label]>;

/// What one series' labels may take; the sum of all series is bounded elsewhere.
const MAX_LABEL_BYTES: usize = 8 * 1024;

/// What the labels of `target_info` may take; what does not fit is left out.
const MAX_TARGET_BYTES: usize = 16 * 1024;

/// Whose metrics they are.
#[derive(Debug, Clone, Default)]
pub struct Sender {
    /// `job` and `instance`, as far as the resource names them; the sender's identity.
    pub identity: Arc<[Label]>,
    /// The labels of its `target_info`, identity included; empty when there is nothing to tell.
    pub target: Labels,
    /// What every series of it carries.
    shared: BTreeMap<String, String>,
}

impl Sender {
    pub(super) fn new(attributes: &[KeyValue], naming: &Naming) -> Self {
        let text = |key| find_text(attributes, key).filter(|value| !value.is_empty());
        let job = text("service.name").map(|name| match text("service.namespace") {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        });
        let mut identity = BTreeMap::new();
        let instance = text("service.instance.id").map(str::to_owned);
        for (name, value) in [("job", job), ("instance", instance)] {
            if let Some(value) = value {
                identity.insert(name.to_owned(), value);
            }
        }
        let is_identity =
            |key: &str| matches!(key, "service.name" | "service.namespace" | "service.instance.id");
        let others = joined(attributes.iter().filter(|attribute| !is_identity(&attribute.key)));
        let mut target = BTreeMap::new();
        if !identity.is_empty() && !others.is_empty() {
            let mut bytes = 0;
            for (name, value) in &others {
                bytes += name.len() + value.len();
                if bytes <= MAX_TARGET_BYTES {
                    add(&mut target, &identity, name.clone(), value.clone());
                }
            }
            target.extend(identity.clone());
        }
        let mut shared = identity.clone();
        for (name, value) in &naming.constant_labels {
            add(&mut shared, &identity, names::label(name), value.clone());
        }
        if naming.resource_labels {
            for (name, value) in joined(attributes.iter()) {
                add(&mut shared, &identity, name, value);
            }
        }
        Self { identity: boxed(identity).into_vec().into(), target: boxed(target), shared }
    }

    /// The labels of a series with these attributes; `reserved` is a label that its samples make themselves.
    pub(super) fn series(
        &self,
        attributes: &[KeyValue],
        reserved: Option<&str>,
    ) -> Result<Labels, Refused> {
        let mut labels = self.shared.clone();
        for (mut name, value) in joined(attributes.iter()) {
            if Some(name.as_str()) == reserved {
                name = format!("exported_{name}");
            }
            add(&mut labels, &self.shared, name, value);
        }
        let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_LABEL_BYTES { Err(Refused::LabelsTooLong) } else { Ok(boxed(labels)) }
    }
}

/// Adds a label; one whose name is taken by `taken` is called `exported_…`, as Prometheus does it when it scrapes.
fn add(
    labels: &mut BTreeMap<String, String>,
    taken: &BTreeMap<String, String>,
    mut name: String,
    value: String,
) {
    while taken.contains_key(&name) {
        name.insert_str(0, "exported_");
    }
    labels.insert(name, value);
}

/// Attributes by their labels' names. Keys that become the same name have their values joined, in the order of the
/// keys. An empty value is no label, for Prometheus.
fn joined<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    let mut by_key: Vec<(&str, String)> = attributes
        .filter_map(|attribute| {
            Some((attribute.key.as_str(), value_text(attribute.value.as_ref()?)))
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    by_key.sort_by(|one, other| one.0.cmp(other.0));
    // OTLP wants each key once; of those that come twice the first counts.
    by_key.dedup_by(|second, first| second.0 == first.0);
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in by_key {
        labels
            .entry(names::label(key))
            .and_modify(|values| {
                values.push(';');
                values.push_str(&value);
            })
            .or_insert(value);
    }
    labels
}

fn boxed(labels: BTreeMap<String, String>) -> Labels {
    labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::text_attribute;

    fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        pairs.iter().map(|(key, value)| text_attribute(key, *value)).collect()
    }

    fn text(labels: &[Label]) -> String {
        labels.iter().map(|(name, value)| format!("{name}={value} ")).collect()
    }

    #[test]
    fn a_sender_is_its_job_and_its_instance_and_the_rest_is_target_info() {
        let resource = attributes(&[
            ("service.namespace", "shop"),
            ("service.name", "api-node"),
            ("service.instance.id", "i-1"),
            ("k8s.pod.name", "web-0"),
        ]);
        let sender = Sender::new(&resource, &Naming::default());
        assert_eq!(text(&sender.identity), "instance=i-1 job=shop/api-node ");
        assert_eq!(text(&sender.target), "instance=i-1 job=shop/api-node k8s_pod_name=web-0 ");
        let nobody = Sender::new(&attributes(&[("k8s.pod.name", "web-0")]), &Naming::default());
        assert!(nobody.identity.is_empty() && nobody.target.is_empty());
    }

    #[test]
    fn keys_that_become_one_name_are_joined_and_taken_names_are_exported() {
        let resource = attributes(&[("service.name", "api")]);
        let sender = Sender::new(&resource, &Naming::default());
        let labels = sender
            .series(
                &attributes(&[("a.b", "2"), ("a-b", "1"), ("job", "x"), ("le", "y"), ("z", "")]),
                Some("le"),
            )
            .unwrap();
        assert_eq!(text(&labels), "a_b=1;2 exported_job=x exported_le=y job=api ");
    }

    #[test]
    fn every_resource_attribute_becomes_a_label_where_that_is_asked_for() {
        let naming = Naming {
            resource_labels: true,
            constant_labels: vec![("env".to_owned(), "test".to_owned())],
            ..Naming::default()
        };
        let sender =
            Sender::new(&attributes(&[("service.name", "api"), ("host.name", "h")]), &naming);
        let labels = sender.series(&[], None).unwrap();
        assert_eq!(text(&labels), "env=test host_name=h job=api service_name=api ");
    }

    #[test]
    fn labels_have_a_bound() {
        let long = "x".repeat(MAX_LABEL_BYTES);
        let refused = Sender::default().series(&attributes(&[("a", &long)]), None);
        assert_eq!(refused, Err(Refused::LabelsTooLong));
    }
}

//! From a record's attributes to Loki's labels and structured metadata.
//!
//! | label | attribute |
//! | --- | --- |
//! | `pod` | `k8s.pod.name` |
//! | `namespace` | `k8s.namespace.name` |
//! | `container` | `k8s.container.name` |
//! | `filename` | `log.file.path` |
//! | `stream` | `log.iostream` |
//! | `service_name` | the record's `service.name`, else its resource's, else the container |
//! | `cluster` | the store's configuration |
//!
//! Everything else is structured metadata, under its name with `_` for what Loki does not allow.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::record::{LogBatch, LogRecord, Resource, value_text};

/// Names and values, sorted as JSON objects and Loki's answers want them.
pub(super) type Pairs = BTreeMap<String, String>;

/// Where labels come from, but for `service_name` and `cluster`.
const ATTRIBUTE_LABELS: [(&str, &str); 5] = [
    ("k8s.pod.name", "pod"),
    ("k8s.namespace.name", "namespace"),
    ("k8s.container.name", "container"),
    ("log.file.path", "filename"),
    ("log.iostream", "stream"),
];

const SERVICE_NAME: &str = "service.name";

/// What Loki, too, calls a service that has no name.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Loki's own limit; it also keeps what is interned small.
const MAX_LABEL_BYTES: usize = 2048;

/// The labels of one record's stream.
pub(super) fn stream_labels(
    resource: &Resource,
    record: &LogRecord,
    cluster: Option<&str>,
) -> Pairs {
    let mut labels = Pairs::new();
    for (attribute, label) in ATTRIBUTE_LABELS {
        if let Some(value) = text(record, resource, attribute) {
            labels.insert(label.to_owned(), cut(value).to_owned());
        }
    }
    let service = text(record, resource, SERVICE_NAME)
        .or_else(|| labels.get("container").map(String::as_str))
        .unwrap_or(UNKNOWN_SERVICE);
    labels.insert("service_name".to_owned(), cut(service).to_owned());
    if let Some(cluster) = cluster.filter(|cluster| !cluster.is_empty()) {
        labels.insert("cluster".to_owned(), cut(cluster).to_owned());
    }
    labels
}

/// What else a batch's resource and scope say: the same for all of its lines.
pub(super) fn resource_metadata(batch: &LogBatch) -> Pairs {
    let mut metadata = metadata(&batch.resource.attributes);
    if let Some(scope) = batch.scope.as_ref().filter(|scope| !scope.name.is_empty()) {
        metadata.insert("scope_name".to_owned(), scope.name.clone());
    }
    metadata
}

/// What else a record says for itself.
pub(super) fn record_metadata(record: &LogRecord) -> Pairs {
    let mut metadata = metadata(&record.attributes);
    if !record.severity_text.is_empty() {
        metadata.insert("severity_text".to_owned(), record.severity_text.clone());
    }
    metadata
}

fn metadata(attributes: &[KeyValue]) -> Pairs {
    attributes
        .iter()
        .filter(|attribute| !is_label(&attribute.key))
        .filter_map(|attribute| Some((attribute, attribute.value.as_ref()?)))
        .map(|(attribute, value)| (loki_name(&attribute.key), value_text(value)))
        .collect()
}

fn is_label(attribute: &str) -> bool {
    attribute == SERVICE_NAME || ATTRIBUTE_LABELS.iter().any(|(name, _)| *name == attribute)
}

fn text<'a>(record: &'a LogRecord, resource: &'a Resource, key: &str) -> Option<&'a str> {
    record.get(key).or_else(|| resource.get(key)).filter(|value| !value.is_empty())
}

fn cut(value: &str) -> &str {
    let mut end = value.len().min(MAX_LABEL_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// `k8s.pod.uid` → `k8s_pod_uid`.
fn loki_name(attribute: &str) -> String {
    let mut name: String =
        attribute.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, text_attribute};

    fn record(attributes: Vec<KeyValue>) -> LogRecord {
        LogRecord {
            time_unix_nano: 1,
            observed_time_unix_nano: 1,
            severity_number: 9,
            severity_text: String::new(),
            body: Body::Text(String::new().into()),
            attributes,
            trace_id: None,
            span_id: None,
            flags: 0,
        }
    }

    fn resource(attributes: &[(&str, &str)]) -> Resource {
        Resource { attributes: attributes.iter().map(|(k, v)| text_attribute(k, *v)).collect() }
    }

    #[test]
    fn a_service_is_named_by_its_record_then_its_resource_then_its_container() {
        let named = |record_attributes: &[(&str, &str)], resource_attributes: &[(&str, &str)]| {
            let record = record(resource(record_attributes).attributes);
            stream_labels(&resource(resource_attributes), &record, None)["service_name"].clone()
        };
        let both = [("service.name", "of-resource"), ("k8s.container.name", "of-container")];
        assert_eq!(named(&[("service.name", "of-record")], &both), "of-record");
        assert_eq!(named(&[], &both), "of-resource");
        assert_eq!(named(&[], &both[1..]), "of-container");
        assert_eq!(named(&[], &[]), "unknown_service");
    }

    #[test]
    fn a_cluster_is_a_label_where_it_is_configured() {
        let labels = stream_labels(&resource(&[]), &record(vec![]), Some("minikube"));
        assert_eq!(labels["cluster"], "minikube");
    }

    #[test]
    fn what_is_no_label_is_metadata_under_a_name_that_loki_allows() {
        let record = record(vec![text_attribute("http.route", "/x"), text_attribute("9-a", "y")]);
        let metadata = record_metadata(&record);
        assert_eq!(metadata["http_route"], "/x");
        assert_eq!(metadata["_9_a"], "y");
    }

    #[test]
    fn a_huge_label_is_cut_at_a_character() {
        let labels =
            stream_labels(&resource(&[("k8s.pod.name", &"é".repeat(5000))]), &record(vec![]), None);
        assert_eq!(labels["pod"].len(), MAX_LABEL_BYTES);
    }
}

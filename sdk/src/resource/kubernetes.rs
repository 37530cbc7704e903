//! The pod, as far as its manifest tells it, and its namespace.

use std::path::Path;

use super::{Attributes, text_of};
use crate::vars::Reader;

/// Attributes, and the variables that manifests usually fill from the downward API: the bare names, those with a
/// prefix of the cluster's, those of Kubernetes's own documentation, and those that the OpenTelemetry operator sets.
const DOWNWARD: [(&str, &[&str]); 6] = [
    (
        "k8s.pod.name",
        &["POD_NAME", "K8S_POD_NAME", "MY_POD_NAME", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME"],
    ),
    ("k8s.pod.uid", &["POD_UID", "K8S_POD_UID", "MY_POD_UID", "OTEL_RESOURCE_ATTRIBUTES_POD_UID"]),
    (NAMESPACE, &["POD_NAMESPACE", "K8S_NAMESPACE", "MY_POD_NAMESPACE"]),
    (
        "k8s.node.name",
        &["NODE_NAME", "K8S_NODE_NAME", "MY_NODE_NAME", "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME"],
    ),
    ("k8s.container.name", &["CONTAINER_NAME", "K8S_CONTAINER_NAME"]),
    ("k8s.cluster.name", &["K8S_CLUSTER_NAME"]),
];

const NAMESPACE: &str = "k8s.namespace.name";
/// Where Kubernetes says it to every container that has a service account.
const NAMESPACE_FILE: &str = "var/run/secrets/kubernetes.io/serviceaccount/namespace";

pub(super) fn describe(root: &Path, reader: &Reader<'_>, attributes: &mut Attributes) {
    if let Some(namespace) = text_of(root, NAMESPACE_FILE) {
        attributes.insert(NAMESPACE.to_owned(), namespace.into());
    }
    for (key, variables) in DOWNWARD {
        // What Kubernetes has not expanded names nothing.
        let told = variables.iter().find_map(|name| reader.text(name));
        if let Some(value) = told.filter(|value| !value.contains("$(")) {
            attributes.insert(key.to_owned(), value.into());
        }
    }
}

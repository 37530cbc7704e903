//! Who is speaking: the resource that goes with every span.
//!
//! `service.name`: `OTEL_SERVICE_NAME` > `OTEL_RESOURCE_ATTRIBUTES` > the name given to `init`. Other
//! attributes: `OTEL_RESOURCE_ATTRIBUTES` > builder > detected.

use std::collections::BTreeMap;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use crate::config::Reader;
use crate::error::Fault;

const SERVICE_NAME: &str = "service.name";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Variables that manifests usually fill from the downward API.
const DOWNWARD: [(&str, &str); 6] = [
    ("POD_NAME", "k8s.pod.name"),
    ("POD_UID", "k8s.pod.uid"),
    ("POD_NAMESPACE", "k8s.namespace.name"),
    ("NODE_NAME", "k8s.node.name"),
    ("CONTAINER_NAME", "k8s.container.name"),
    ("K8S_CLUSTER_NAME", "k8s.cluster.name"),
];

/// A resource, and the name of the service in it.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) resource: Resource,
    pub(crate) service_name: String,
}

/// Finds out who is speaking.
pub(crate) fn speaker(
    given_name: &str,
    from_builder: &[(String, String)],
    reader: &mut Reader<'_>,
) -> Speaker {
    let mut attributes = detected(reader);
    attributes.insert(SERVICE_NAME.to_owned(), given_name.to_owned());
    attributes.extend(from_builder.iter().cloned());
    attributes.extend(from_environment(reader));
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        attributes.insert(SERVICE_NAME.to_owned(), name);
    }
    let service_name = attributes.get(SERVICE_NAME).cloned().unwrap_or_default();
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let process_id = KeyValue::new("process.pid", i64::from(std::process::id()));
    let resource =
        Resource::builder_empty().with_attribute(process_id).with_attributes(attributes).build();
    Speaker { resource, service_name }
}

fn detected(reader: &Reader<'_>) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
    set("telemetry.sdk.name", "opentelemetry".to_owned());
    set("telemetry.sdk.language", "rust".to_owned());
    set("telemetry.sdk.version", OPENTELEMETRY_VERSION.to_owned());
    set("telemetry.distro.name", env!("CARGO_PKG_NAME").to_owned());
    set("telemetry.distro.version", env!("CARGO_PKG_VERSION").to_owned());
    set("service.instance.id", instance_id());
    if let Some(name) = host_name() {
        set("host.name", name);
    }
    for (variable, key) in DOWNWARD {
        if let Some(value) = reader.text(variable) {
            set(key, value);
        }
    }
    attributes
}

/// The version of the OpenTelemetry SDK that this one is built on; a test holds it to the lock file.
const OPENTELEMETRY_VERSION: &str = "0.33.1";

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A random UUID (version 4), new with every start.
fn instance_id() -> String {
    let random = fastrand::u128(..);
    let id = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `key=value,key=value`, percent-encoded. As the specification has it, one faulty pair voids all.
fn from_environment(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let Some(text) = reader.text(RESOURCE_ATTRIBUTES) else { return Vec::new() };
    let decode = |part: &str| {
        let decoded = percent_encoding::percent_decode_str(part.trim()).decode_utf8();
        decoded.ok().map(|text| text.into_owned())
    };
    let pairs: Option<Vec<_>> = text
        .split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = decode(key).filter(|key| !key.is_empty())?;
            Some((key, decode(value)?))
        })
        .collect();
    pairs.unwrap_or_else(|| {
        let accepted = "key=value,key=value, percent-encoded where needed";
        reader.fault(Fault::new(RESOURCE_ATTRIBUTES, text, accepted));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::Key;

    use super::*;

    fn speaking(vars: &[(&'static str, &'static str)]) -> (Speaker, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let builder = [("deployment.environment.name".to_owned(), "builder".to_owned())];
        let speaker = speaker("checkout", &builder, &mut reader);
        (speaker, reader.into_faults())
    }

    #[test]
    fn the_service_name_has_three_sources() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=from-attributes");
        let name = ("OTEL_SERVICE_NAME", "from-name");
        assert_eq!(speaking(&[]).0.service_name, "checkout");
        assert_eq!(speaking(&[attributes]).0.service_name, "from-attributes");
        assert_eq!(speaking(&[attributes, name]).0.service_name, "from-name");
    }

    #[test]
    fn the_environment_wins_over_the_builder_and_this_over_what_is_detected() {
        let get = |speaker: &Speaker, key: &'static str| {
            speaker.resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
        };
        let (speaker, faults) = speaking(&[
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a%20b,host.name=h"),
            ("POD_NAME", "pod-1"),
        ]);
        assert_eq!(faults, []);
        assert_eq!(get(&speaker, "deployment.environment.name").as_deref(), Some("a b"));
        assert_eq!(get(&speaker, "host.name").as_deref(), Some("h"));
        assert_eq!(get(&speaker, "k8s.pod.name").as_deref(), Some("pod-1"));
        assert_eq!(
            get(&speaking(&[]).0, "deployment.environment.name").as_deref(),
            Some("builder")
        );
    }

    #[test]
    fn one_faulty_pair_voids_all_and_is_told() {
        let (speaker, faults) = speaking(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,novalue")]);
        assert_eq!(speaker.service_name, "checkout");
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn an_instance_id_is_a_random_uuid() {
        let id = instance_id();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert!("89ab".contains(&id[19..20]), "{id}");
        assert_ne!(id, instance_id());
    }

    #[test]
    fn the_version_told_is_the_version_built() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let package =
            format!("name = \"opentelemetry_sdk\"\nversion = \"{OPENTELEMETRY_VERSION}\"");
        assert!(lock.contains(&package));
    }
}

//! Who is speaking: the resource that goes with every span and metric.
//!
//! `service.name`: `OTEL_SERVICE_NAME` > `OTEL_RESOURCE_ATTRIBUTES` > the name given to `init`. Other
//! attributes: `OTEL_RESOURCE_ATTRIBUTES` > builder > detected.

mod container;
mod kubernetes;
mod machine;
mod process;

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;

use crate::error::Fault;
use crate::vars::{Reader, words};

const SERVICE_NAME: &str = "service.name";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// By their keys, in the order of what is sent.
type Attributes = BTreeMap<String, Value>;

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
    speaker_on(Path::new("/"), given_name, from_builder, reader)
}

/// `root` is where the system's files begin.
fn speaker_on(
    root: &Path,
    given_name: &str,
    from_builder: &[(String, String)],
    reader: &mut Reader<'_>,
) -> Speaker {
    let mut attributes = detected(root, reader);
    attributes.insert(SERVICE_NAME.to_owned(), given_name.to_owned().into());
    let texts = from_builder.iter().cloned().chain(from_environment(reader));
    attributes.extend(texts.map(|(key, value)| (key, value.into())));
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        attributes.insert(SERVICE_NAME.to_owned(), name.into());
    }
    let service_name = attributes.get(SERVICE_NAME).map(ToString::to_string).unwrap_or_default();
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    Speaker {
        resource: Resource::builder_empty().with_attributes(attributes).build(),
        service_name,
    }
}

fn detected(root: &Path, reader: &Reader<'_>) -> Attributes {
    let mut attributes = Attributes::new();
    let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value.into());
    set("telemetry.sdk.name", "opentelemetry".to_owned());
    set("telemetry.sdk.language", "rust".to_owned());
    set("telemetry.sdk.version", OPENTELEMETRY_VERSION.to_owned());
    set("telemetry.distro.name", env!("CARGO_PKG_NAME").to_owned());
    set("telemetry.distro.version", env!("CARGO_PKG_VERSION").to_owned());
    set("service.instance.id", instance_id());
    process::describe(&mut attributes);
    machine::describe(root, &mut attributes);
    kubernetes::describe(root, reader, &mut attributes);
    if let Some(id) = container::id(root) {
        attributes.insert("container.id".to_owned(), id.into());
    }
    // Inside a container its file is that of the image, and the same in all of them.
    let is_contained =
        attributes.keys().any(|key| key.starts_with("k8s.") || key == "container.id");
    if is_contained {
        attributes.remove(machine::HOST_ID);
    }
    attributes
}

/// What a file says, without the blanks around it.
fn text_of(root: &Path, file: &str) -> Option<String> {
    let text = std::fs::read_to_string(root.join(file)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The version of the OpenTelemetry SDK that this one is built on; a test holds it to the lock file.
const OPENTELEMETRY_VERSION: &str = "0.33.1";

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
    let pairs: Option<Vec<_>> = words(&text)
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
        speaking_on(Path::new("/nowhere"), vars)
    }

    fn speaking_on(root: &Path, vars: &[(&'static str, &'static str)]) -> (Speaker, Vec<Fault>) {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        let mut reader = Reader::new(&vars);
        let builder = [("deployment.environment.name".to_owned(), "builder".to_owned())];
        let speaker = speaker_on(root, "checkout", &builder, &mut reader);
        (speaker, reader.into_faults())
    }

    fn get(speaker: &Speaker, key: &'static str) -> Option<String> {
        speaker.resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
    }

    /// A directory with the files of a system.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        root
    }

    const CONTAINER: &str = "0f0dd3b8bd3ffd33e4a1b85d5e9e2ac4b6ac7a0d9d0a5b9d0df2a7b0e6f1c2d3";

    #[test]
    fn a_machine_tells_its_name_its_id_and_its_system() {
        let root = system(&[
            ("proc/sys/kernel/hostname", "node-7\n"),
            ("etc/machine-id", "3f6c1d6f0a7b4b8b9b9e0a5b9d0df2a7\n"),
            (
                "etc/os-release",
                "NAME=\"Debian GNU/Linux\"\nVERSION_ID=13\nPRETTY_NAME='Debian 13'\n# end\n",
            ),
        ]);
        let (speaker, _) = speaking_on(root.path(), &[]);
        let told = |key| get(&speaker, key);
        assert_eq!(told("host.name").as_deref(), Some("node-7"));
        assert_eq!(told("host.id").as_deref(), Some("3f6c1d6f0a7b4b8b9b9e0a5b9d0df2a7"));
        assert_eq!(told("os.name").as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(told("os.version").as_deref(), Some("13"));
        assert_eq!(told("os.description").as_deref(), Some("Debian 13"));
        assert_eq!(told("os.type").as_deref(), Some(std::env::consts::OS));
        assert!(told("host.arch").is_some());
        let pid = i64::from(std::process::id());
        assert_eq!(speaker.resource.get(&Key::from("process.pid")), Some(Value::I64(pid)));
        let executable = std::env::current_exe().unwrap();
        assert_eq!(told("process.executable.path"), Some(executable.display().to_string()));
        assert_eq!(told("process.runtime.name").as_deref(), Some("rustc"));
        assert!(told("process.runtime.version").is_some_and(|version| version.starts_with("1.")));
        assert_eq!(told("process.command_args"), None, "arguments may hold secrets");
    }

    #[test]
    fn a_pod_is_named_by_its_variables_and_the_file_of_its_service_account() {
        let cgroup = format!("0::/kubepods.slice/pod1.slice/cri-containerd-{CONTAINER}.scope\n");
        let root = system(&[
            ("proc/self/cgroup", &cgroup),
            ("etc/machine-id", "of the image"),
            ("var/run/secrets/kubernetes.io/serviceaccount/namespace", "shop"),
        ]);
        let vars = [("POD_NAME", "pod-1"), ("MY_NODE_NAME", "node-7"), ("K8S_POD_UID", "$(X)")];
        let (speaker, faults) = speaking_on(root.path(), &vars);
        assert_eq!(faults, []);
        let told = |key| get(&speaker, key);
        assert_eq!(told("k8s.pod.name").as_deref(), Some("pod-1"));
        assert_eq!(told("k8s.node.name").as_deref(), Some("node-7"));
        assert_eq!(told("k8s.pod.uid"), None, "Kubernetes did not expand it");
        assert_eq!(told("k8s.namespace.name").as_deref(), Some("shop"));
        assert_eq!(told("container.id").as_deref(), Some(CONTAINER));
        assert_eq!(told("host.id"), None);

        let (speaker, _) = speaking_on(root.path(), &[("POD_NAMESPACE", "other")]);
        assert_eq!(get(&speaker, "k8s.namespace.name").as_deref(), Some("other"));
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

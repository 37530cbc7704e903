//! What a log file's path says about who wrote it.

use std::path::Path;

use crate::record::{Resource, text_attribute};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

/// The resource of the container whose log is `…/<namespace>_<pod>_<uid>/<container>/<n>.log`.
///
/// A path of another shape keeps `log.file.path` and nothing else: odd input is not an error.
pub fn resource(path: &Path) -> Resource {
    let mut attributes = Vec::with_capacity(6);
    if let Some(container) = Container::of(path) {
        attributes.push(text_attribute("k8s.namespace.name", container.namespace));
        attributes.push(text_attribute("k8s.pod.name", container.pod));
        attributes.push(text_attribute("k8s.pod.uid", container.pod_uid));
        attributes.push(text_attribute("k8s.container.name", container.name));
        attributes.push(KeyValue {
            key: "k8s.container.restart_count".to_owned(),
            value: Some(AnyValue { value: Some(Value::IntValue(container.restarts)) }),
            ..KeyValue::default()
        });
    }
    attributes.push(text_attribute("log.file.path", path.to_string_lossy()));
    Resource { attributes }
}

struct Container<'a> {
    namespace: &'a str,
    pod: &'a str,
    pod_uid: &'a str,
    name: &'a str,
    restarts: i64,
}

impl<'a> Container<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let restarts = path.file_name()?.to_str()?.strip_suffix(".log")?.parse().ok()?;
        let container_dir = path.parent()?;
        let name = container_dir.file_name()?.to_str()?;
        let pod_dir = container_dir.parent()?.file_name()?.to_str()?;
        // None of the three may hold an underscore; a static pod's uid is a hash without dashes.
        let mut parts = pod_dir.split('_');
        let (namespace, pod, pod_uid) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = parts.next().is_none() && ![namespace, pod, pod_uid, name].contains(&"");
        whole.then_some(Self { namespace, pod, pod_uid, name, restarts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_container() {
        let path = "/var/log/pods/shop_api.v2-7d9f_0a1b-2c/api-node/12.log";
        let resource = resource(Path::new(path));
        assert_eq!(resource.get("k8s.namespace.name"), Some("shop"));
        assert_eq!(resource.get("k8s.pod.name"), Some("api.v2-7d9f"));
        assert_eq!(resource.get("k8s.pod.uid"), Some("0a1b-2c"));
        assert_eq!(resource.get("k8s.container.name"), Some("api-node"));
        assert_eq!(resource.get("log.file.path"), Some(path));
        let restarts = resource.attributes.iter().find(|a| a.key == "k8s.container.restart_count");
        let value = restarts.and_then(|a| a.value.clone()).and_then(|value| value.value);
        assert_eq!(value, Some(Value::IntValue(12)));
    }

    #[test]
    fn another_path_keeps_its_path_and_nothing_else() {
        for path in
            ["/tmp/app.log", "/p/a_b/c/0.log", "/p/a_b_c_d/c/0.log", "/p/a_b_c/c/x.log", "/"]
        {
            let resource = resource(Path::new(path));
            assert_eq!(resource.attributes.len(), 1, "{path}");
            assert_eq!(resource.get("log.file.path"), Some(path));
        }
    }
}

//! The configurations that `k8s/` and `docker/` bring along are right, and so is every order in which an overlay merges them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the manifests set from the downward API and from secrets.
const VARIABLES: [(&str, &str); 5] = [
    ("MY_POD_IP", "10.1.2.3"),
    ("POD_NAME", "my-node-app-1"),
    ("POD_NAMESPACE", "default"),
    ("K8S_NODE_NAME", "node-1"),
    ("SPANLINE_TOKEN", "a-token"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What `validate` says of the files, merged in this order.
fn validate(files: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanline-agent"));
    for file in files {
        command.arg("--config").arg(root().join(file));
    }
    let output = command.arg("validate").envs(VARIABLES).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_configuration_is_right_and_leaves_nothing_unused() {
    for files in [
        &["k8s/base/agent/config.yaml"][..],
        &["k8s/overlays/ha/config.yaml"],
        &["k8s/overlays/minikube/config.yaml", "k8s/overlays/minikube/addresses.yaml"],
        &["k8s/overlays/sidecar/config.yaml"],
        &["k8s/overlays/tls/config.yaml"],
        &["k8s/overlays/tls/gateway-config.yaml"],
        &["docker/agent/forward.yaml"],
        &["docker/agent/lite.yaml"],
    ] {
        let (right, said) = validate(files);
        assert!(right, "{files:?}: {said}");
        assert!(said.is_empty(), "{files:?} is warned of: {said}");
    }
}

#[test]
fn the_overlay_minikube_has_the_configuration_that_the_collector_had() {
    let without_comments = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        text.lines().skip_while(|line| line.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        without_comments("k8s/overlays/minikube/config.yaml"),
        without_comments("tests/fixtures/collector-config/collector-rendered-2023.yaml")
    );
}

/// A configuration that is not in the list above is one that nobody holds right.
#[test]
fn every_configuration_is_looked_at() {
    let source = include_str!("manifests.rs");
    let mut left = vec![root().join("k8s"), root().join("docker/agent")];
    let mut seen = 0;
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("\nreceivers:\n") || text.contains("\nexporters:\n") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
                assert!(source.contains(name), "{name} is not looked at");
                seen += 1;
            }
        }
    }
    assert!(seen > 5, "only {seen} configurations were found");
}

//! The host and its operating system, as the process sees them.

use std::env::consts;
use std::path::Path;

use super::{Attributes, text_of};

pub(super) const HOST_ID: &str = "host.id";

pub(super) fn describe(root: &Path, attributes: &mut Attributes) {
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), value.into());
        }
    };
    set("host.name", text_of(root, "proc/sys/kernel/hostname"));
    let id = text_of(root, "etc/machine-id");
    set(HOST_ID, id.or_else(|| text_of(root, "var/lib/dbus/machine-id")));
    set("host.arch", Some(architecture(consts::ARCH).to_owned()));
    set("os.type", Some(system(consts::OS).to_owned()));
    let release = text_of(root, "etc/os-release").or_else(|| text_of(root, "usr/lib/os-release"));
    if let Some(release) = release {
        set("os.name", release_value(&release, "NAME"));
        set("os.version", release_value(&release, "VERSION_ID"));
        set("os.description", release_value(&release, "PRETTY_NAME"));
    }
}

/// The conventions' names for what Rust calls otherwise.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn system(rust: &str) -> &str {
    match rust {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

/// `KEY=value`, quoted or not.
fn release_value(release: &str, key: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

//! The process, but for what may be secret or personal: its arguments and its owner.

use std::env;

use super::Attributes;

pub(super) fn describe(attributes: &mut Attributes) {
    let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value.into());
    if let Ok(executable) = env::current_exe() {
        if let Some(name) = executable.file_name() {
            set("process.executable.name", name.to_string_lossy().into_owned());
        }
        set("process.executable.path", executable.display().to_string());
    }
    set("process.runtime.name", "rustc".to_owned());
    // Told by the build script, where the compiler told it.
    if let Some(version) = option_env!("SPANLINE_RUSTC_VERSION") {
        set("process.runtime.version", version.to_owned());
    }
    attributes.insert("process.pid".to_owned(), i64::from(std::process::id()).into());
}

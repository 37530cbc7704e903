//! Tells the crate which compiler builds it: `process.runtime.version` of the resource.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var_os("RUSTC")
        .and_then(|rustc| Command::new(rustc).arg("--version").output().ok())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        // "rustc 1.95.0 (59807616e 2026-04-14)"
        .and_then(|told| told.split(' ').nth(1).map(str::to_owned));
    if let Some(version) = version {
        println!("cargo::rustc-env=SPANLINE_RUSTC_VERSION={version}");
    }
}

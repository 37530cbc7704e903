//! Tests that need a process of their own, for a global subscriber or a panic hook.

use std::env;
use std::process::{self, Command};

/// Tells the child which test it was made for.
const CHILD: &str = "SPANLINE_TEST_ALONE";

/// Runs a test's program in a process of its own, and gives back what came of it. In that process
/// this never returns. `test` is the calling test's path, from `log::tests` on.
pub(super) fn alone(test: &str, program: impl FnOnce()) -> process::Output {
    if env::var(CHILD).as_deref() == Ok(test) {
        program();
        process::exit(0);
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "--nocapture"]).arg(format!("log::tests::{test}"));
    let output = child.env(CHILD, test).env("RUST_BACKTRACE", "0").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {}: {printed}", output.status);
    // Had no test this name, the child would have run none, and said so.
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(!stdout.contains("running 0 tests"), "no such test: {test}");
    output
}

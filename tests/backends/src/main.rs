//! The demo's roles and the agent, as the tests start them.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanline_demo::cli::main(std::env::args_os())
}

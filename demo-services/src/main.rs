//! `spanline-demo`: the whole chain on one machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanline_demo::cli::main(std::env::args_os())
}

//! The node agent's binary; what it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanline_agent::cli::main(std::env::args_os())
}

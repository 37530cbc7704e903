//! The service `api-node`, for an image or to run on its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanline_demo::node::run(std::env::args_os())
}

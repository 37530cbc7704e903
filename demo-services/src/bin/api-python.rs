//! The service `api-python`, for an image or to run on its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanline_demo::python::run(std::env::args_os())
}

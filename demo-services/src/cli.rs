//! One binary, four roles: the launcher, and the three programs that it starts from itself.
//!
//! `cargo run` builds the one binary that it runs, so whatever the launcher starts must be in it.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::launcher::{self, Options, orphan};
use crate::{node, python};

/// Runs the demo: api-node, api-python and the node agent on this machine, and one request through
/// them
#[derive(Debug, Parser)]
#[command(name = "spanline-demo", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Runs the service api-node alone
    #[command(disable_help_flag = true)]
    ApiNode(Rest),
    /// Runs the service api-python alone
    #[command(disable_help_flag = true)]
    ApiPython(Rest),
    /// Runs the node agent alone
    #[command(disable_help_flag = true)]
    SpanlineAgent(Rest),
}

/// What follows a role is for the role to read.
#[derive(Debug, clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// The program `spanline-demo`: runs the role that `args` name, or without one the launcher.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = Cli::parse_from(args);
    let Some(role) = cli.role else { return launcher::run(&cli.options) };
    orphan::die_with_launcher();
    match role {
        Role::ApiNode(rest) => node::run(rest.under("api-node")),
        Role::ApiPython(rest) => python::run(rest.under("api-python")),
        Role::SpanlineAgent(rest) => spanline_agent::cli::main(rest.under("spanline-agent")),
    }
}

impl Rest {
    fn under(self, name: &str) -> impl Iterator<Item = OsString> {
        std::iter::once(name.into()).chain(self.args)
    }
}

//! What a service needs around its routes: an address to listen on, a way to ask for its health, an
//! exit code.

mod health;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::net::TcpListener;

/// The settings do not fit the machine or are wrong; the caller must change something.
const EXIT_SETTINGS: u8 = 2;

#[derive(Debug, Parser)]
struct Cli<Own: Args> {
    /// Address to listen on
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on [default: the service's own]
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    own: Own,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Asks the running service whether it is well: exit 0 if it is, else 1
    Health,
}

/// For a service that needs to be told nothing but its address.
#[derive(Debug, Args)]
pub(crate) struct NoSettings {}

/// Parses `args`, binds the address, and runs `serve` with both on a runtime of its own.
///
/// The address is bound before `serve` starts any telemetry, so that a taken port is one clear line.
pub(crate) fn run<Own, Serve>(
    name: &'static str,
    default_port: u16,
    args: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(TcpListener, Own) -> Serve,
) -> ExitCode
where
    Own: Args,
    Serve: Future<Output = io::Result<()>>,
{
    let cli = match parse::<Own>(name, args) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let address = SocketAddr::new(cli.host, cli.port.unwrap_or(default_port));
    if let Some(Command::Health) = cli.command {
        return health::ask(address);
    }

    let outcome = tokio::runtime::Runtime::new().map_err(Failure::Run).and_then(|runtime| {
        runtime.block_on(async {
            let listener =
                TcpListener::bind(address).await.map_err(|cause| Failure::Bind(address, cause))?;
            serve(listener, cli.own).await.map_err(Failure::Run)
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Bind(address, cause)) => {
            eprintln!(
                "{name}: cannot listen on {address}: {cause}; choose another address with HOST and PORT"
            );
            ExitCode::from(EXIT_SETTINGS)
        }
        Err(Failure::Run(cause)) => {
            eprintln!("{name}: {cause}");
            ExitCode::FAILURE
        }
    }
}

enum Failure {
    Bind(SocketAddr, io::Error),
    Run(io::Error),
}

fn parse<Own: Args>(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
) -> Result<Cli<Own>, clap::Error> {
    let command = Cli::<Own>::command().name(name).bin_name(name);
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

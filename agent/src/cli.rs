//! The command line: run the agent, ask after its health, or show what it would do.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::agent::Agent;
use crate::config::{Config, Environment, Flags};
use crate::own::{self, Owner};

/// How long `health` waits for an answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Settings that do not fit this machine, as opposed to a failure while running.
const EXIT_UNUSABLE: u8 = 2;

/// Tails pod logs, receives OTLP, keeps both, and shows them on a page.
#[derive(Debug, Parser)]
#[command(name = "spanline-agent", version)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask the agent of this machine whether it is ready; exit 0 if so, else 1
    Health,
    /// Check the configuration; exit 0 if it is right, else 2 with every fault
    Validate,
    /// Print which receivers, processors, exporters and extensions there are
    Components,
    /// Print the configuration that is in force, without secrets
    PrintConfig,
    /// Give folders, and what is in them, to the user that the agent runs as: for an init container
    Own {
        /// The user and the group, by number, such as 65534:0
        #[arg(long)]
        owner: Owner,
        /// The folders; one that is missing is made
        #[arg(required = true)]
        directories: Vec<PathBuf>,
    },
}

/// Does what the arguments say; the first of them is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done if not even this can be printed.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_UNUSABLE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match &arguments.command {
        Some(Command::Components) => return print(&Config::components()),
        Some(Command::Own { owner, directories }) => return own(*owner, directories),
        _ => {}
    }
    let config = match Config::from_flags(&arguments.flags, &Environment) {
        Ok(config) => config,
        Err(error) => return unusable(&error),
    };
    match arguments.command {
        Some(Command::Health) => health(&config),
        Some(Command::PrintConfig) => print(&config.to_yaml()),
        Some(Command::Validate) => {
            config
                .warnings
                .iter()
                .for_each(|warning| drop(writeln!(io::stderr(), "warning: {warning}")));
            ExitCode::SUCCESS
        }
        Some(Command::Components | Command::Own { .. }) | None => run(&config),
    }
}

fn run(config: &Config) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Fails only when this process has a subscriber already, which then takes the events.
    drop(
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(io::stderr)
            .try_init(),
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return unusable(&error),
    };
    let code = runtime.block_on(async {
        let agent = match Agent::build(config).await {
            Ok(agent) => agent,
            Err(error) => return unusable(&error),
        };
        let (Ok(terminate), Ok(interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return unusable(&"the signals SIGTERM and SIGINT cannot be listened for");
        };
        agent.run(stop_asked(terminate, interrupt)).await;
        ExitCode::SUCCESS
    });
    // What is left on blocking threads by now has had its time.
    runtime.shutdown_background();
    code
}

/// Ends with the first signal; a second one ends the process at once.
async fn stop_asked(mut terminate: Signal, mut interrupt: Signal) {
    next_of(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        next_of(&mut terminate, &mut interrupt).await;
        tracing::warn!("stopped by a second signal: what was not yet stored is lost");
        std::process::exit(1);
    });
}

async fn next_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn health(config: &Config) -> ExitCode {
    let Some(endpoint) = config.health() else {
        return failed(&"the configuration has no extension health_check to ask");
    };
    let ask = || -> io::Result<bool> {
        // An agent that listens on every address listens on this machine's own.
        let address = endpoint.strip_prefix("0.0.0.0:").map(|port| format!("127.0.0.1:{port}"));
        let address = address
            .or_else(|| Some(format!("localhost{endpoint}")).filter(|_| endpoint.starts_with(':')));
        let address = address.as_deref().unwrap_or(endpoint);
        let found = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let mut stream = TcpStream::connect_timeout(&found, HEALTH_TIMEOUT)?;
        stream.set_read_timeout(Some(HEALTH_TIMEOUT))?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status.ends_with(b" 200"))
    };
    match ask() {
        Ok(true) => print("ready\n"),
        Ok(false) => failed(&format_args!("the agent at {endpoint} is starting or stopping")),
        Err(error) => failed(&format_args!("no agent answers at {endpoint}: {error}")),
    }
}

fn own(owner: Owner, directories: &[PathBuf]) -> ExitCode {
    for directory in directories {
        if let Err((path, error)) = own::give(directory, owner) {
            return failed(&format_args!("{} cannot be given: {error}", path.display()));
        }
    }
    ExitCode::SUCCESS
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn failed(what: &dyn std::fmt::Display) -> ExitCode {
    // Nothing can be done if not even this can be printed.
    let _ = writeln!(io::stderr(), "spanline-agent: {what}");
    ExitCode::FAILURE
}

fn unusable(what: &dyn std::fmt::Display) -> ExitCode {
    failed(what);
    ExitCode::from(EXIT_UNUSABLE)
}

//! The command line: run the agent, ask after its health, or show what it would do.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::agent::Agent;
use crate::config::{Config, Environment, Flags};

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
    /// Print what is in force, in the shape of the Collector's configuration
    PrintConfig,
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
    let config = match Config::from_flags(&arguments.flags, &Environment) {
        Ok(config) => config,
        Err(error) => return unusable(&error),
    };
    match arguments.command {
        Some(Command::Health) => health(config.health),
        Some(Command::PrintConfig) => print(&config.to_yaml()),
        None => run(&config),
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

fn health(address: SocketAddr) -> ExitCode {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, HEALTH_TIMEOUT)?;
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
        Ok(false) => failed(&format_args!("the agent at {address} is starting or stopping")),
        Err(error) => failed(&format_args!("no agent answers at {address}: {error}")),
    }
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

//! Runs the agent and the two services on one machine, and plays the container runtime for them.

mod children;
mod cri;
mod demo;
mod error;
mod folder;
mod load;
pub(crate) mod orphan;
mod plain_log;
mod pod_log;
mod ports;
mod report;
mod request;
mod rotate;
mod signals;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::time::Instant;

pub use self::children::Unsaved;
pub use self::demo::{Demo, Role};
pub use self::error::LaunchError;
pub use self::ports::Ports;
pub use self::request::{Answer, LineIds};
pub use self::verdict::{Traced, VERDICT_TIMEOUT};

use self::load::Load;
use self::report::Report;
use self::signals::Signals;

/// What the launcher can be told.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Send one request, check that its trace and its log lines found each other, stop; exit 0 or 1
    #[arg(long, conflicts_with = "load")]
    pub once: bool,
    /// Send this many requests a second until stopped
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub load: Option<u32>,
    /// Folder for the log files and the agent's store
    #[arg(long, env = "SPANLINE_DEMO_DIR", value_name = "DIR", default_value = ".spanline")]
    pub dir: PathBuf,
    /// Where everything listens, on 127.0.0.1
    #[command(flatten)]
    pub ports: Ports,
}

/// Runs the demo until it is told to stop, or with `once` until its verdict.
///
/// Exit code 0 is success, 1 a failed verdict or a child that died, 2 a setting that does not fit this
/// machine: a taken port, a folder that cannot be used.
pub fn run(options: &Options) -> ExitCode {
    let report = Report::new();
    // One thread, and it is the one that starts the children: the kernel ties a child's life to the
    // thread that made it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run_until_stopped(options, &report)),
        Err(cause) => Err(LaunchError::Runtime(cause)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.failed(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run_until_stopped(options: &Options, report: &Report) -> Result<(), LaunchError> {
    let mut signals = Signals::listen().map_err(LaunchError::Runtime)?;
    let exe = std::env::current_exe().map_err(LaunchError::Runtime)?;
    let mut demo = Demo::prepare(exe, options)?;

    let outcome = tokio::select! {
        outcome = perform(&mut demo, options, report) => outcome,
        () = signals.next() => Ok(()),
    };

    report.stopping();
    let began = Instant::now();
    tokio::select! {
        lost = demo.stop() => report.stopped(began.elapsed(), &lost),
        () = signals.next() => {
            demo.kill().await;
            return outcome.and(Err(LaunchError::Killed));
        }
    }
    outcome
}

/// The play itself; it ends by itself only with `once`, or when something fails.
async fn perform(demo: &mut Demo, options: &Options, report: &Report) -> Result<(), LaunchError> {
    report.begin(demo);
    for role in Role::ALL {
        let began = Instant::now();
        report.starting(role);
        demo.start(role)?;
        demo.ready(role).await?;
        report.ready(demo, role, began.elapsed());
    }

    let answer = demo.request().await?;
    report.answered(demo, &answer);
    let verdict = demo.verify(&answer).await?;
    if options.once {
        return verdict.map(|traced| report.linked(&traced));
    }
    match &verdict {
        Ok(traced) => report.linked(traced),
        // The services and the page are there all the same, and may help to find out why.
        Err(missing) => report.failed(missing),
    }

    report.invite(demo, &answer);
    let load = options
        .load
        .map(|per_second| Load::new(per_second, demo.something_url(), demo.http().clone()));
    let until_stopped = async {
        match load {
            Some(load) => load.run(report).await,
            None => std::future::pending().await,
        }
    };
    demo.unless_one_dies(until_stopped).await.map(|never| match never {})
}

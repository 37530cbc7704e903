//! One process that others send to or ask.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use spanline_tests::{eventually, get};
use tokio::time::{Instant, sleep};

/// How much of a log is shown when its test fails.
const LAST_LINES: usize = 30;
/// How long one may take to end by itself; Tempo does not while someone is connected to it.
const GRACE: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A process, or what is left of one that was stopped. Its drop kills it.
#[derive(Debug)]
pub struct BackEnd {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    vars: Vec<(&'static str, String)>,
    ready_url: String,
    log: PathBuf,
    process: Option<Child>,
}

impl BackEnd {
    /// The back end `name` as `tests/backends/build` left it.
    ///
    /// # Errors
    /// It is not there.
    pub fn built(name: &str) -> io::Result<PathBuf> {
        let cache = std::env::var_os("SPANLINE_BACKENDS").map(PathBuf::from).ok_or_else(|| {
            io::Error::other("SPANLINE_BACKENDS is not set; tests/backends/run sets it")
        })?;
        let program = cache.join(name);
        if program.exists() {
            Ok(program)
        } else {
            Err(io::Error::other(format!(
                "no {}; tests/backends/build makes it",
                program.display()
            )))
        }
    }

    /// Says how to start `program`, which keeps its log in `folder` and is ready when `ready_url` answers with success.
    pub fn new(
        name: &'static str,
        program: PathBuf,
        folder: &Path,
        args: Vec<String>,
        vars: Vec<(&'static str, String)>,
        ready_url: String,
    ) -> Self {
        let log = folder.join(format!("{name}.log"));
        Self { name, program, args, vars, ready_url, log, process: None }
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started.
    ///
    /// # Panics
    /// It ends, or does not become ready; with its last lines.
    pub async fn start(&mut self) -> io::Result<()> {
        self.launch()?;
        self.ready().await;
        Ok(())
    }

    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn launch(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        // It shall not outlive the test, not even one that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args(&self.args)
            .envs(self.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// It ends, or does not become ready; with its last lines.
    pub async fn ready(&mut self) {
        let (name, url) = (self.name, self.ready_url.clone());
        eventually(&format!("{name} is ready"), async || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok()).flatten();
            assert!(ended.is_none(), "{name} ended: {ended:?}");
            match get(&url, &[]).await? {
                (status, _) if status.is_success() => Ok(()),
                (status, text) => Err(format!("{status}: {text}")),
            }
        })
        .await;
    }

    /// Asks it to end, and waits until it has; whoever does not in time is killed, as an orchestrator would.
    pub async fn stop(&mut self) {
        let Some(process) = &mut self.process else { return };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        // An error means that it has ended already.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let deadline = Instant::now() + GRACE;
        while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(POLL_INTERVAL).await;
        }
        self.kill();
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // An error means that it has ended already.
            let _ = process.kill().and_then(|()| process.wait());
        }
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        Some(self.process.as_ref()?.id())
    }

    /// What it wrote.
    pub fn written(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for BackEnd {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let written = self.written();
            let lines: Vec<_> = written.lines().collect();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            eprintln!("the last lines of {}:\n{}\n", self.name, last.join("\n"));
        }
    }
}

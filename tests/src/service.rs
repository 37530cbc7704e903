//! A service that does its work and ends, as a process of its own.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::WITHIN;

/// How many spans the service makes, with a line in each.
pub const SPANS_OF_SERVICE: usize = 5_000;

/// What it exits with when it calls `exit`.
pub const SERVICE_EXIT_CODE: i32 = 7;

/// The thread that shuts telemetry down after a signal; the kernel keeps 15 characters.
const SHUTDOWN_THREAD: &str = "spanline-shutdo";
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A service that has done its work. Its drop kills it.
#[derive(Debug)]
pub struct Service {
    process: Child,
    stdout: Stdout,
}

#[derive(Debug)]
enum Stdout {
    Read(JoinHandle<io::Result<String>>),
    /// Held open, and never read.
    Unread {
        _pipe: ChildStdout,
    },
}

impl Service {
    /// Starts `program`, and waits until it says that its work is done.
    ///
    /// # Errors
    /// It cannot be started, or ends before.
    pub async fn ready(
        program: &Path,
        arguments: [&str; 2],
        vars: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::start(program, arguments, vars, true).await
    }

    /// The same, but nobody ever reads what it prints.
    ///
    /// # Errors
    /// It cannot be started, or ends before.
    pub async fn ready_unread(
        program: &Path,
        arguments: [&str; 2],
        vars: &[(&str, &str)],
    ) -> io::Result<Self> {
        Self::start(program, arguments, vars, false).await
    }

    async fn start(
        program: &Path,
        arguments: [&str; 2],
        vars: &[(&str, &str)],
        is_read: bool,
    ) -> io::Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            // Many at once would want the same port.
            .env("OTEL_METRICS_EXPORTER", "none")
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(mut stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take())
        else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let stdout = if is_read {
            Stdout::Read(tokio::spawn(async move {
                let mut text = String::new();
                stdout.read_to_string(&mut text).await?;
                Ok(text)
            }))
        } else {
            Stdout::Unread { _pipe: stdout }
        };
        let mut stderr = BufReader::new(stderr).lines();
        while let Some(line) = stderr.next_line().await? {
            if line == "ready" {
                // Whatever else it says there must not stop it.
                tokio::spawn(async move { while let Ok(Some(_)) = stderr.next_line().await {} });
                return Ok(Self { process, stdout });
            }
        }
        Err(io::Error::other(format!("it ended before it was ready: {:?}", process.wait().await?)))
    }

    /// Sends it a signal; one that is gone needs none.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it shuts down for a signal, or has ended: two signals at once may be one to the kernel, so a
    /// second has to wait for that.
    ///
    /// # Errors
    /// It does not; the text says so.
    pub async fn sees_signal(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + WITHIN;
        while !self.is_ending() {
            if Instant::now() > deadline {
                return Err("no thread shuts down".to_owned());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Waits for its end; how long that took, how it ended, and what it printed.
    ///
    /// # Errors
    /// It has not ended after `patience`.
    pub async fn ended(mut self, patience: Duration) -> io::Result<(Duration, ExitStatus, String)> {
        let began = Instant::now();
        let status = tokio::time::timeout(patience, self.process.wait()).await??;
        let took = began.elapsed();
        let printed = match self.stdout {
            Stdout::Read(text) => text.await.map_err(io::Error::other)??,
            Stdout::Unread { .. } => String::new(),
        };
        Ok((took, status, printed))
    }

    fn is_ending(&mut self) -> bool {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return true;
        }
        let Some(pid) = self.pid() else { return true };
        let threads = format!("/proc/{}/task", pid.as_raw_nonzero());
        let Ok(threads) = std::fs::read_dir(threads) else { return true };
        threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok())
            .any(|name| name.trim_end() == SHUTDOWN_THREAD)
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.process.id()?.cast_signed())
    }
}

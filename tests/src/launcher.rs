//! The program as a person runs it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::eventually;

/// Set to 0, any free port; a flag of a test goes before a variable.
const PORT_VARS: [&str; 10] = [
    "SPANLINE_API_NODE_PORT",
    "SPANLINE_API_PYTHON_PORT",
    "SPANLINE_API_NODE_METRICS_PORT",
    "SPANLINE_API_PYTHON_METRICS_PORT",
    "SPANLINE_OTLP_GRPC_PORT",
    "SPANLINE_OTLP_HTTP_PORT",
    "SPANLINE_WEB_PORT",
    "SPANLINE_HEALTH_PORT",
    "SPANLINE_SELF_METRICS_PORT",
    "SPANLINE_PROMETHEUS_PORT",
];

/// A launcher that runs. One that is dropped is killed, and the kernel ends its children with it.
#[derive(Debug)]
pub struct Launcher {
    process: Child,
    stdout: Output,
    stderr: Output,
}

/// How a launcher ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it printed as errors.
    pub stderr: String,
}

impl Launcher {
    /// Starts `program` on free ports in `dir`, unless `args` name others.
    ///
    /// # Errors
    ///
    /// When the system refuses it.
    pub fn start<Arg: AsRef<OsStr>>(
        program: &Path,
        dir: &Path,
        args: impl IntoIterator<Item = Arg>,
    ) -> io::Result<Self> {
        let mut process = Command::new(program)
            .envs(PORT_VARS.map(|name| (name, "0")))
            .arg("--dir")
            .arg(dir)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = Output::collect(process.stdout.take());
        let stderr = Output::collect(process.stderr.take());
        Ok(Self { process, stdout, stderr })
    }

    /// Waits until it printed `text`, and gives all that it printed until then.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn prints(&mut self, text: &str) -> String {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        eventually(&format!("the launcher prints {text:?}"), async || {
            let printed = stdout.text();
            if printed.contains(text) {
                return Ok(printed);
            }
            Err(format!("{printed}\n{}", stderr.text()))
        })
        .await
    }

    /// The process ids of the three roles, once it has printed that they are ready.
    pub fn children(printed: &str) -> Vec<u32> {
        let after_pid = printed.split("pid ").skip(1);
        after_pid.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(pid(self.process.id())?, signal)?)
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub async fn ended(mut self) -> Ended {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        let status = eventually("the launcher ends", async || match self.process.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err(format!("it runs and printed {}{}", stdout.text(), stderr.text())),
            Err(error) => Err(error.to_string()),
        })
        .await;
        Ended { status, stdout: self.stdout.whole().await, stderr: self.stderr.whole().await }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// Whether a process with this id exists.
pub fn runs(process: u32) -> bool {
    pid(process).is_ok_and(|pid| test_kill_process(pid).is_ok())
}

fn pid(process: u32) -> io::Result<Pid> {
    Pid::from_raw(process.cast_signed()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What comes through a pipe, read to its end by a thread so that the writer never waits.
#[derive(Debug, Clone)]
struct Output {
    read: Arc<Mutex<Read>>,
}

#[derive(Debug, Default)]
struct Read {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    fn collect(pipe: Option<impl io::Read + Send + 'static>) -> Self {
        let output = Self { read: Arc::default() };
        let (shared, mut chunk) = (output.clone(), [0; 4096]);
        std::thread::spawn(move || {
            let mut pipe = pipe;
            while let Some(Ok(count @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut chunk)) {
                shared.lock().bytes.extend_from_slice(&chunk[..count]);
            }
            shared.lock().ended = true;
        });
        output
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    async fn whole(&self) -> String {
        eventually("the launcher's output ends with it", async || {
            if self.lock().ended { Ok(self.text()) } else { Err(self.text()) }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

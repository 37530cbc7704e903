//! A child process whose output is always read, kept in a file, and remembered a little.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, PipeReader, Read as _};
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout_at};

use super::cri::{Splitter, Stream, Tag};
use super::orphan::LAUNCHER_PID;

/// How much is read from a child at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many of a child's latest lines are remembered.
const MAX_RECENT_LINES: usize = 64;
/// A container does not inherit its node's settings, so a developer's shell does not change the demo;
/// only these pass.
const INHERITED_VARS: [&str; 5] = ["PATH", "HOME", "TZ", "TMPDIR", "RUST_BACKTRACE"];

/// Where a child's lines are kept. A line is taken in memory first, so that one write holds many.
pub(super) trait LineSink: Send {
    /// Takes one line, or a part of a long one.
    fn line(&mut self, stream: Stream, tag: Tag, text: &[u8]);
    /// Writes down what was taken; on an error it is forgotten.
    fn flush(&mut self) -> io::Result<()>;
}

/// A running child, and what it wrote.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    readers: Vec<JoinHandle<()>>,
    written: Written,
}

/// What a child wrote, as the threads that read it know it.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    state: Arc<Mutex<WrittenState>>,
}

#[derive(Debug, Default)]
struct WrittenState {
    recent: VecDeque<String>,
    unsaved: Option<Unsaved>,
}

/// Lines that were read but could not be kept, and why the latest could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaved {
    /// How many, parts of long ones counted each.
    pub lines: u64,
    /// What the system said.
    pub cause: String,
}

impl Child {
    /// Starts `exe` with `args` and no other variables than `vars` and a few harmless ones.
    pub(super) fn start(
        exe: &Path,
        args: impl IntoIterator<Item = OsString>,
        vars: impl IntoIterator<Item = (&'static str, String)>,
        sink: impl LineSink + 'static,
    ) -> io::Result<Self> {
        let (stdout, stdout_writer) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        let mut command = Command::new(exe);
        command
            .args(args)
            .env_clear()
            .envs(INHERITED_VARS.iter().filter_map(|&name| Some((name, std::env::var_os(name)?))))
            .env(LAUNCHER_PID, std::process::id().to_string())
            .envs(vars)
            .stdin(std::process::Stdio::null())
            .stdout(stdout_writer)
            .stderr(stderr_writer)
            // Ctrl-C in a terminal goes to a whole process group; the children stop in an order.
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn()?;

        let written = Written::default();
        let sink = Arc::new(Mutex::new(sink));
        let readers = [(Stream::Stdout, stdout), (Stream::Stderr, stderr)]
            .into_iter()
            .map(|(stream, pipe)| {
                let (sink, written) = (Arc::clone(&sink), written.clone());
                std::thread::Builder::new()
                    .name("child-output".into())
                    .spawn(move || read_to_end(pipe, stream, &sink, &written))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { process, readers, written })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    /// Its exit status, if it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Asks it to stop.
    pub(super) fn terminate(&self) {
        let pid = self.process.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself in this moment, which is what was wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has ended and all that it wrote is kept; kills it when it lives past `deadline`.
    pub(super) async fn end_by(&mut self, deadline: Instant) {
        if timeout_at(deadline, self.process.wait()).await.is_err() {
            self.kill().await;
        }
        self.drained().await;
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill().await;
    }

    /// Waits until its output is read to the end; a stranger that holds the pipe open is not waited for.
    pub(super) async fn drained(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(500);
        let deadline = Instant::now() + PATIENCE;
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Written {
    /// The latest lines, oldest first, of both streams as they came.
    pub(super) fn recent(&self) -> Vec<String> {
        self.state().recent.iter().cloned().collect()
    }

    /// What could not be kept, if anything.
    pub(super) fn unsaved(&self) -> Option<Unsaved> {
        self.state().unsaved.clone()
    }

    fn remember(&self, text: &[u8]) {
        let mut state = self.state();
        if state.recent.len() == MAX_RECENT_LINES {
            state.recent.pop_front();
        }
        state.recent.push_back(String::from_utf8_lossy(text).into_owned());
    }

    fn lose(&self, lines: u64, cause: &io::Error) {
        let mut state = self.state();
        let before = state.unsaved.take().map_or(0, |unsaved| unsaved.lines);
        state.unsaved = Some(Unsaved { lines: before + lines, cause: cause.to_string() });
    }

    fn state(&self) -> MutexGuard<'_, WrittenState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until the child closes its end. A line that cannot be kept is counted and let go: to stop
/// reading would stop the child.
fn read_to_end(
    mut pipe: PipeReader,
    stream: Stream,
    sink: &Mutex<impl LineSink>,
    written: &Written,
) {
    let mut splitter = Splitter::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.unwrap_or(0),
        };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = 0;
        let keep = |tag, text: &[u8]| {
            written.remember(text);
            sink.line(stream, tag, text);
            lines += 1;
        };
        if read == 0 {
            splitter.finish(keep);
        } else {
            splitter.feed(&chunk[..read], keep);
        }
        if lines > 0
            && let Err(cause) = sink.flush()
        {
            written.lose(lines, &cause);
        }
        if read == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

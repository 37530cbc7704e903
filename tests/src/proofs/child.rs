//! This program again, in another role; what it printed.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

/// A process in a role, its outputs not read yet.
pub(crate) struct Role {
    pub(crate) process: Child,
    pub(crate) stdout: ChildStdout,
    stderr: BufReader<ChildStderr>,
}

impl Role {
    pub(crate) fn start(arguments: &[&str], vars: &[(&str, &str)]) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            // Several at once would want the same port.
            .env("OTEL_METRICS_EXPORTER", "none")
            .envs(vars.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match (process.stdout.take(), process.stderr.take()) {
            (Some(stdout), Some(stderr)) => {
                Ok(Self { process, stdout, stderr: BufReader::new(stderr) })
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The next line of its stderr.
    pub(crate) fn says(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stderr.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// The figures that it prints on stderr as `name value` until it ends.
    pub(crate) fn figures(mut self) -> io::Result<HashMap<String, u64>> {
        let mut text = String::new();
        self.stderr.read_to_string(&mut text)?;
        let status = self.process.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("{status}: {text}")));
        }
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }
}

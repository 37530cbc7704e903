//! What the launcher tells the person who started it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::children::Unsaved;
use super::demo::{Demo, Role};
use super::error::LaunchError;
use super::request::Answer;
use super::verdict::Traced;

/// Prints to stdout, and failures to stderr. A reader that went away is no reason to stop.
pub(super) struct Report {
    /// On a terminal a line that is still true for a moment only is written over by the next.
    terminal: bool,
}

const CLEAR_LINE: &str = "\r\x1b[K";

impl Report {
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal() }
    }

    pub(super) fn begin(&self, demo: &Demo) {
        self.line(&format!("Spanline demo, files in {}\n", demo.folder().display()));
    }

    pub(super) fn starting(&self, role: Role) {
        self.passing(&format!("  {:<15} starting …", role.name()));
    }

    pub(super) fn ready(&self, demo: &Demo, role: Role, took: Duration) {
        let ports = demo.ports();
        let place = match role {
            Role::Agent => format!(
                "page http://127.0.0.1:{}/  OTLP on {} (gRPC) and {} (HTTP)",
                ports.web, ports.otlp_grpc, ports.otlp_http
            ),
            Role::Python => format!("http://127.0.0.1:{}/", ports.api_python),
            Role::Node => format!("http://127.0.0.1:{}/something", ports.api_node),
        };
        let pid = demo.pid(role).unwrap_or_default();
        self.line(&format!(
            "  {:<15} ready in {:>3} ms  pid {pid:<7}  {place}",
            role.name(),
            took.as_millis()
        ));
    }

    pub(super) fn answered(&self, demo: &Demo, answer: &Answer) {
        self.line(&format!(
            "\nGET {} → {} ({:.1} ms). What the services wrote:\n",
            demo.something_url(),
            answer.text.trim_end(),
            answer.took.as_secs_f64() * 1e3
        ));
        for (service, line) in &answer.lines {
            self.line(&format!("  {service:<10}  {line}"));
        }
        self.line("");
        self.passing("waiting for the trace and its lines in the agent …");
    }

    pub(super) fn linked(&self, traced: &Traced) {
        self.line(&format!("ok: {traced}"));
    }

    pub(super) fn invite(&self, demo: &Demo, answer: &Answer) {
        self.line(&format!("\nSee it   {}/trace/{}", demo.web_url(), answer.trace_id));
        self.line(&format!("Try it   curl {}", demo.something_url()));
        self.line("Ctrl-C stops it.");
    }

    pub(super) fn progress(&self, line: &str) {
        if self.terminal {
            self.passing(line);
        } else {
            self.line(line);
        }
    }

    pub(super) fn stopping(&self) {
        self.passing("stopping: first the services, then the agent …");
    }

    pub(super) fn stopped(&self, took: Duration, unsaved: &[(Role, Unsaved)]) {
        for (role, Unsaved { lines, cause }) in unsaved {
            self.line(&format!("{lines} lines of {} could not be kept: {cause}", role.name()));
        }
        self.line(&format!("stopped in {:.1} s", took.as_secs_f64()));
    }

    pub(super) fn failed(&self, error: &LaunchError) {
        if self.terminal {
            self.write(CLEAR_LINE);
        }
        let _ = writeln!(io::stderr(), "spanline-demo: {error}");
    }

    fn line(&self, line: &str) {
        let start = if self.terminal { CLEAR_LINE } else { "" };
        self.write(&format!("{start}{line}\n"));
    }

    fn passing(&self, line: &str) {
        if self.terminal {
            self.write(&format!("{CLEAR_LINE}{line}"));
        }
    }

    fn write(&self, text: &str) {
        let mut out = io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

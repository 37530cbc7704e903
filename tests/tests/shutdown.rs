//! However a service ends, it ends in time; and while the agent answers, with nothing lost.
//!
//! {4 runtimes} × {agent up, refused, black-holed} × {SIGTERM, SIGTERM twice, return from `main`, panic,
//! `process::exit`}: sixty processes, and a few for the corners. They wait at the same time, but only two of them work.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use spanline_tests::{Receiver, SERVICE_EXIT_CODE, SPANS_OF_SERVICE, Service, WITHIN, eventually};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const RUNTIMES: [&str; 4] = ["none", "current_thread", "1 worker", "4 workers"];
const AGENTS: [Agent; 3] = [Agent::Up, Agent::Refused, Agent::BlackHole];
const ENDINGS: [Ending; 5] =
    [Ending::Sigterm, Ending::SigtermTwice, Ending::Return, Ending::Panic, Ending::Exit];

/// The deadline of 5 s, and what a process needs around it.
const ENDS_WITHIN: Duration = Duration::from_millis(5_500);
const SECOND_SIGNAL_ENDS_WITHIN: Duration = Duration::from_millis(100);
/// What hangs, hangs longer.
const EXITS_WITHIN: Duration = Duration::from_secs(2);

const EXIT_CODE_OF_SIGTERM: i32 = 128 + 15;
const EXIT_CODE_OF_PANIC: i32 = 101;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    Up,
    Refused,
    /// The system accepts the connection, and nobody ever answers.
    BlackHole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Sigterm,
    SigtermTwice,
    Return,
    Panic,
    Exit,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    runtime: &'static str,
    agent: Agent,
    ending: Ending,
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_spanline-service-under-test"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_runtime_with_every_agent_ends_in_every_way_and_in_time() {
    let cases = RUNTIMES.into_iter().flat_map(|runtime| {
        AGENTS.into_iter().flat_map(move |agent| {
            ENDINGS.into_iter().map(move |ending| Case { runtime, agent, ending })
        })
    });
    // A tenth of a second is little while others work: those are left for last, one at a time.
    let (short, long): (Vec<_>, Vec<_>) =
        cases.partition(|case| case.ending == Ending::SigtermTwice);
    assert_eq!(short.len() + long.len(), 60);
    let working = Arc::new(Semaphore::new(2));
    let mut running = JoinSet::new();
    for case in long {
        let working = Arc::clone(&working);
        running.spawn(async move { case.fault(&working).await });
    }
    let mut faults = running.join_all().await;
    for case in short {
        faults.push(case.fault(&working).await);
    }
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} of 60:\n{}", faults.len(), faults.join("\n"));
}

impl Case {
    async fn fault(self, working: &Semaphore) -> Option<String> {
        self.run(working).await.err().map(|why| format!("{self:?}: {why}"))
    }

    async fn run(self, working: &Semaphore) -> Result<(), String> {
        let receiver = Receiver::start().await.map_err(|error| error.to_string())?;
        let hole = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let endpoint = match self.agent {
            Agent::Up => receiver.endpoint().to_owned(),
            // Nobody listens on a port that needs privileges to be listened on.
            Agent::Refused => "http://127.0.0.1:1".to_owned(),
            Agent::BlackHole => format!("http://{}", hole.local_addr().map_err(|e| e.to_string())?),
        };
        let ending = match self.ending {
            Ending::Sigterm | Ending::SigtermTwice => "signal",
            Ending::Return => "return",
            Ending::Panic => "panic",
            Ending::Exit => "exit",
        };
        let permit = working.acquire().await.map_err(|error| error.to_string())?;
        let mut service = start([self.runtime, ending], &endpoint).await?;
        drop(permit);
        match self.ending {
            Ending::Sigterm => service.signal(Signal::TERM),
            Ending::SigtermTwice => {
                service.signal(Signal::TERM);
                service.sees_signal().await?;
                service.signal(Signal::TERM);
            }
            Ending::Return | Ending::Panic | Ending::Exit => {}
        }
        let (took, status, stdout) =
            service.ended(WITHIN).await.map_err(|error| format!("does not end: {error}"))?;

        let limit = match self.ending {
            Ending::Sigterm | Ending::Return | Ending::Panic => ENDS_WITHIN,
            Ending::SigtermTwice => SECOND_SIGNAL_ENDS_WITHIN,
            Ending::Exit => EXITS_WITHIN,
        };
        if took > limit {
            return Err(format!("ended after {took:?}, not within {limit:?}"));
        }
        // `serve` returns, and so does `main`; where there is none, the signal ends the process.
        let after_signal = if self.runtime == "none" { EXIT_CODE_OF_SIGTERM } else { 0 };
        let codes: &[i32] = match self.ending {
            Ending::Sigterm => &[after_signal],
            // With the agent up it may have ended before the second came.
            Ending::SigtermTwice if self.agent == Agent::Up => {
                &[after_signal, EXIT_CODE_OF_SIGTERM]
            }
            Ending::SigtermTwice => &[EXIT_CODE_OF_SIGTERM],
            Ending::Return => &[0],
            Ending::Panic => &[EXIT_CODE_OF_PANIC],
            Ending::Exit => &[SERVICE_EXIT_CODE],
        };
        if !status.code().is_some_and(|code| codes.contains(&code)) {
            return Err(format!("{status}, not one of {codes:?}"));
        }
        match self.ending {
            // Documented: these lose what waits.
            Ending::SigtermTwice | Ending::Exit => Ok(()),
            _ if self.agent == Agent::Up => nothing_is_lost(&stdout, &receiver),
            // Lines do not need the agent.
            _ => all_lines(&stdout).map(drop),
        }
    }
}

async fn start(arguments: [&str; 2], endpoint: &str) -> Result<Service, String> {
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    Service::ready(program(), arguments, &vars).await.map_err(|error| error.to_string())
}

/// The span ids of the lines of the service's work, each in a span of its own.
fn all_lines(stdout: &str) -> Result<HashSet<String>, String> {
    let mut ids = HashSet::new();
    for line in stdout.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("torn: {line:?}: {error}"))?;
        if line["message"] == "worked" {
            ids.insert(line["span_id"].as_str().unwrap_or_default().to_owned());
        }
    }
    if ids.len() == SPANS_OF_SERVICE { Ok(ids) } else { Err(format!("{} lines", ids.len())) }
}

fn nothing_is_lost(stdout: &str, receiver: &Receiver) -> Result<(), String> {
    let of_lines = all_lines(stdout)?;
    let of_spans = receiver.span_ids();
    if of_lines == of_spans {
        return Ok(());
    }
    let missing = of_lines.difference(&of_spans).count();
    Err(format!("{} spans; {missing} lines without their span", of_spans.len()))
}

/// A service with an agent that is up, whose end comes by itself.
async fn ends_whole(runtime: &str, ending: &str, code: i32) -> String {
    let receiver = Receiver::start().await.unwrap();
    let service = start([runtime, ending], receiver.endpoint()).await.unwrap();
    let (took, status, stdout) = service.ended(WITHIN).await.unwrap();
    assert!(took <= ENDS_WITHIN, "{took:?}");
    assert_eq!(status.code(), Some(code));
    assert_eq!(nothing_is_lost(&stdout, &receiver), Ok(()));
    stdout
}

#[tokio::test]
async fn two_threads_may_shut_down_at_once() {
    ends_whole("none", "two threads", SERVICE_EXIT_CODE).await;
}

#[tokio::test]
async fn telemetry_that_a_panic_drops_flushes_and_what_logs_after_it_does_no_harm() {
    let stdout = ends_whole("none", "panic in a panic's wake", EXIT_CODE_OF_PANIC).await;
    assert!(stdout.contains("unwinding, as the test wants it"), "{stdout}");
    assert!(!stdout.contains("after the end"));
}

#[tokio::test]
async fn telemetry_dropped_inside_a_task_of_the_only_worker_flushes() {
    for runtime in ["current_thread", "1 worker"] {
        ends_whole(runtime, "dropped in a task", 0).await;
    }
}

#[tokio::test]
async fn a_blocked_worker_stands_in_the_way_of_neither_flush_nor_second_signal() {
    let receiver = Receiver::start().await.unwrap();
    let mut service = start(["current_thread", "blocked"], receiver.endpoint()).await.unwrap();
    service.signal(Signal::TERM);
    service.sees_signal().await.unwrap();
    eventually("the spans are flushed", async || {
        let count = receiver.span_ids().len();
        if count == SPANS_OF_SERVICE { Ok(()) } else { Err(format!("{count} spans")) }
    })
    .await;
    service.signal(Signal::TERM);
    let (took, status, stdout) = service.ended(WITHIN).await.unwrap();
    assert!(took <= SECOND_SIGNAL_ENDS_WITHIN, "{took:?}");
    assert_eq!(status.code(), Some(EXIT_CODE_OF_SIGTERM));
    assert_eq!(nothing_is_lost(&stdout, &receiver), Ok(()));
}

#[tokio::test]
async fn a_stdout_that_nobody_reads_holds_up_neither_the_spans_nor_the_end() {
    for runtime in ["none", "4 workers"] {
        let receiver = Receiver::start().await.unwrap();
        let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())];
        let mut service =
            Service::ready_unread(program(), [runtime, "signal"], &vars).await.unwrap();
        service.signal(Signal::TERM);
        service.sees_signal().await.unwrap();
        eventually("the spans are flushed", async || {
            let count = receiver.span_ids().len();
            if count == SPANS_OF_SERVICE { Ok(()) } else { Err(format!("{count} spans")) }
        })
        .await;
        let (took, status, _) = service.ended(WITHIN).await.unwrap();
        assert!(took <= ENDS_WITHIN, "{took:?}");
        assert!(status.code().is_some(), "{status}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_also_while_its_stdout_is_stuck() {
    let vars = [("OTEL_TRACES_EXPORTER", "none")];
    let arguments = ["none", "prints"];
    let mut service = Service::ready_unread(program(), arguments, &vars).await.unwrap();
    service.signal(Signal::TERM);
    service.sees_signal().await.unwrap();
    service.signal(Signal::TERM);
    let (took, status, _) = service.ended(WITHIN).await.unwrap();
    assert!(took <= SECOND_SIGNAL_ENDS_WITHIN, "{took:?}");
    // What is left in the standard library's own buffer would hang the exit, so the kernel may have to end it.
    assert!(status.code() == Some(EXIT_CODE_OF_SIGTERM) || status.signal() == Some(9), "{status}");
}

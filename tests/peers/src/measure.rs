//! Runs one subject in a process of its own and reads off what it cost.

use std::io;
use std::process::{Command, Output};

use crate::serve;
use crate::work::{Prepare, Work};

/// Operations before anything is counted: caches, callsites and thread-locals are then in place.
pub const WARM_UP_OPERATIONS: u32 = 100;

/// How much is run for a figure.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Interleaved rounds for times; the median is quoted.
    pub rounds: usize,
    /// Operations in a timed round.
    pub timed_operations: u32,
    /// Seconds of load on a server in a round.
    pub load_seconds: u32,
    /// Operations by which the long callgrind run exceeds the short one.
    pub counted_operations: u32,
}

/// What one operation costs.
#[derive(Clone, Copy)]
pub struct Cost {
    /// Nanoseconds: the median of the rounds.
    pub nanoseconds: f64,
    /// What is counted from inside; `None` for a server under load.
    pub counts: Option<Counts>,
}

/// What one operation costs, counted.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Allocations of the working thread.
    pub allocations: f64,
    /// Instructions of the whole process, start-up left out.
    pub instructions: f64,
}

impl Effort {
    /// Minutes.
    pub const FULL: Self =
        Self { rounds: 9, timed_operations: 200_000, load_seconds: 5, counted_operations: 4_000 };
    /// Within two minutes.
    pub const QUICK: Self =
        Self { rounds: 5, timed_operations: 40_000, load_seconds: 2, counted_operations: 1_000 };
}

/// The cost of every subject of a work, their timed rounds interleaved so that a slow moment of the
/// machine meets all of them.
pub fn costs(work: &Work, effort: Effort) -> io::Result<Vec<Cost>> {
    let mut nanoseconds = vec![Vec::new(); work.subjects.len()];
    let mut allocations = vec![0.0; work.subjects.len()];
    for _ in 0..effort.rounds {
        for (index, subject) in work.subjects.iter().enumerate() {
            let mut command = Command::new(std::env::current_exe()?);
            if let Prepare::Server(_) = subject.prepare {
                command.args(["one", work.name, subject.name, "0"]);
                let load = serve::cpu_nanoseconds_per_request(command, effort.load_seconds)?;
                nanoseconds[index].push(load);
                continue;
            }
            let output = run(command, work.name, subject.name, effort.timed_operations)?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut figures = text.split_whitespace().map(str::parse::<f64>);
            let (Some(Ok(time)), Some(Ok(count))) = (figures.next(), figures.next()) else {
                let what = format!("{} printed {text:?} for its cost", subject.name);
                return Err(io::Error::other(what));
            };
            nanoseconds[index].push(time);
            allocations[index] = count;
        }
    }
    let mut costs = Vec::new();
    for (index, subject) in work.subjects.iter().enumerate() {
        nanoseconds[index].sort_by(f64::total_cmp);
        let counts = match subject.prepare {
            Prepare::Server(_) => None,
            Prepare::Operation(_) => Some(Counts {
                allocations: allocations[index],
                instructions: instructions(work.name, subject.name, effort.counted_operations)?,
            }),
        };
        costs.push(Cost { nanoseconds: nanoseconds[index][effort.rounds / 2], counts });
    }
    Ok(costs)
}

fn instructions(work: &str, subject: &str, operations: u32) -> io::Result<f64> {
    let short = counted(work, subject, 1)?;
    let long = counted(work, subject, 1 + operations)?;
    Ok((long - short) / f64::from(operations))
}

/// The instructions that callgrind counts in one whole run.
fn counted(work: &str, subject: &str, operations: u32) -> io::Result<f64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?);
    let output = run(command, work, subject, operations)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split("Collected :").nth(1));
    collected.and_then(|figure| figure.trim().parse().ok()).ok_or_else(|| {
        io::Error::other(format!("callgrind printed no count for {subject}:\n{text}"))
    })
}

fn run(mut command: Command, work: &str, subject: &str, operations: u32) -> io::Result<Output> {
    let output = command.args(["one", work, subject, &operations.to_string()]).output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{subject} failed at {work:?}: {said}")))
}

//! Runs subjects in processes of their own and reads off what they cost.

use std::collections::HashMap;
use std::io;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::callgrind::{self, Instructions};
use crate::serve;
use crate::work::{Area, Subject, Way};

/// Operations before anything is counted: caches, callsites and thread-locals are then in place.
pub const WARM_UP_OPERATIONS: u32 = 100;

/// How much is run for a figure.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Interleaved rounds for times; the median is quoted.
    rounds: usize,
    /// Operations in a timed round.
    timed_operations: u32,
    /// Rounds of load on servers.
    load_rounds: usize,
    /// Seconds of load on a server in a round.
    load_seconds: u32,
    /// Operations by which the long callgrind run exceeds the short one.
    counted_operations: u32,
}

/// What one operation of a subject costs. A list has one figure for each round.
#[derive(Clone, Default)]
pub struct Cost {
    /// Nanoseconds in one thread.
    pub nanoseconds: Vec<f64>,
    /// What is counted from inside.
    pub counts: Option<Counts>,
    /// Nanoseconds of CPU of a server under load.
    pub load_nanoseconds: Vec<f64>,
    /// How much more two threads do than one, in the same time.
    pub speedup: Vec<f64>,
}

/// What one operation costs, counted.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Allocations of the working thread.
    pub allocations: f64,
    /// Instructions, start-up left out.
    pub instructions: Instructions,
}

impl Effort {
    /// Minutes.
    pub const FULL: Self = Self {
        rounds: 15,
        timed_operations: 100_000,
        load_rounds: 7,
        load_seconds: 4,
        counted_operations: 4_000,
    };
    /// Within two minutes.
    pub const QUICK: Self = Self {
        rounds: 5,
        timed_operations: 20_000,
        load_rounds: 3,
        load_seconds: 1,
        counted_operations: 1_000,
    };
}

/// The cost of every subject, by its name. In a round each of them has its turn, so that a slow moment of the
/// machine meets all, and a ratio of two figures of one round is a fair one.
pub fn costs(area: &Area, effort: Effort) -> io::Result<HashMap<&'static str, Cost>> {
    let mut costs: HashMap<&'static str, Cost> = HashMap::new();
    let subjects = &area.subjects;
    let timed_operations = effort.timed_operations.min(area.max_operations);
    let instructions = if area.counts_instructions {
        instructions(subjects, effort.counted_operations)?
    } else {
        HashMap::new()
    };
    for (way, rounds) in [
        (Way::OPERATION, effort.rounds),
        (Way::THREADS, effort.rounds),
        (Way::SERVER, effort.load_rounds),
    ] {
        for _ in 0..rounds {
            for subject in subjects.iter().filter(|subject| subject.way(way).is_some()) {
                let cost = costs.entry(subject.name).or_default();
                if way == Way::SERVER {
                    let mut command = Command::new(std::env::current_exe()?);
                    command
                        .args(["one", subject.name, way, "0"])
                        .env("OTEL_METRICS_EXPORTER", "none");
                    let load = serve::cpu_nanoseconds_per_request(command, effort.load_seconds)?;
                    cost.load_nanoseconds.push(load);
                    continue;
                }
                let command = Command::new(std::env::current_exe()?);
                let output = run(command, subject.name, way, timed_operations)?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let mut figures = text.split_whitespace().map(str::parse::<f64>);
                let (Some(Ok(figure)), Some(Ok(allocations))) = (figures.next(), figures.next())
                else {
                    let what = format!("{} printed {text:?} for its cost", subject.name);
                    return Err(io::Error::other(what));
                };
                if way == Way::THREADS {
                    cost.speedup.push(figure);
                } else {
                    cost.nanoseconds.push(figure);
                    let instructions = instructions.get(subject.name);
                    cost.counts =
                        instructions.map(|&instructions| Counts { allocations, instructions });
                }
            }
        }
    }
    Ok(costs)
}

/// Counts do not mind who else is running, so every core counts somebody.
fn instructions(
    subjects: &[Subject],
    operations: u32,
) -> io::Result<HashMap<&'static str, Instructions>> {
    let counted: Vec<&Subject> =
        subjects.iter().filter(|subject| subject.way(Way::OPERATION).is_some()).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(subject) = counted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = instructions_of(subject.name, operations);
                    let result = result.map(|count| (subject.name, count));
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_iter().collect()
}

fn instructions_of(subject: &str, operations: u32) -> io::Result<Instructions> {
    callgrind::instructions_of_one(operations, |mut program, operations| {
        program.env("OTEL_METRICS_EXPORTER", "none");
        program.args(["one", subject, Way::OPERATION, &operations.to_string()]);
        program
    })
}

fn run(mut command: Command, subject: &str, way: &str, operations: u32) -> io::Result<Output> {
    // Subjects run side by side while they are counted: none may want a port.
    command.env("OTEL_METRICS_EXPORTER", "none");
    let output = command.args(["one", subject, way, &operations.to_string()]).output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("{subject} failed as {way}: {said}")))
}

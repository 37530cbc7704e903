//! Measures what one operation costs: instructions by callgrind, allocations, CPU time.
//!
//! `cargo bench` prints a table. Under `cargo test` every operation runs a few times, so that a bench that
//! does not work any more is noticed. A subject runs in a process of its own, since most set a global.

mod allocations;
mod callgrind;

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Does the work once.
pub(crate) type Operation = Box<dyn FnMut()>;

/// Something that is measured.
pub(crate) struct Subject {
    /// Its name in the table.
    name: &'static str,
    /// Sets it up in this process.
    prepare: fn() -> Operation,
    goal: Goal,
}

/// How many instructions an operation may take.
#[derive(Clone, Copy)]
enum Goal {
    Any,
    AtMost(f64),
    /// So many times what the other takes.
    Times(f64, &'static str),
}

/// Several subjects, one of which may be what the others are measured by.
pub(crate) struct Bench {
    pub(crate) subjects: &'static [Subject],
    /// In one process; with more, a queue would be full, and another work would be measured.
    pub(crate) most_operations: u32,
}

/// How often an operation is repeated.
struct Repeats {
    /// Before anything is measured: caches, callsites and thread-locals are then in place.
    warm_up: u32,
    /// By which callgrind's long run exceeds its short one.
    counted: u32,
    timed: u32,
}

const REPEATS: Repeats = Repeats { warm_up: 100, counted: 4_000, timed: 200_000 };
/// Of an operation that takes longer than [`LONG_NANOS`].
const REPEATS_OF_LONG: Repeats = Repeats { warm_up: 5, counted: 20, timed: 50 };
const LONG_NANOS: f64 = 50_000.0;
/// The median of so many rounds is quoted.
const ROUNDS: usize = 5;

#[allow(dead_code, reason = "not every bench has goals of every kind")]
impl Subject {
    pub(crate) const fn new(name: &'static str, prepare: fn() -> Operation) -> Self {
        Self { name, prepare, goal: Goal::Any }
    }

    /// It may take so many instructions.
    pub(crate) const fn at_most(self, instructions: f64) -> Self {
        Self { goal: Goal::AtMost(instructions), ..self }
    }

    /// It may take so many times the instructions of a subject above it.
    pub(crate) const fn times(self, ratio: f64, other: &'static str) -> Self {
        Self { goal: Goal::Times(ratio, other), ..self }
    }

    /// This program, about to do so many operations of the subject.
    fn command(&self, mut program: Command, warm_up: u32, operations: u32) -> Command {
        let repeats = [warm_up, operations].map(|number| number.to_string());
        program.args(["one", self.name]).args(repeats);
        program
    }
}

/// The `main` of a bench.
pub(crate) fn main(bench: &Bench) -> ExitCode {
    let subjects = bench.subjects;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["one", name, warm_up, operations] => one(subjects, name, warm_up, operations),
        _ if words.contains(&"--bench") => table(bench),
        _ => subjects.iter().try_for_each(|subject| cost(subject, 1, 3).map(drop)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// In a process of its own: prepares a subject, works, prints nanoseconds and allocations of one operation.
fn one(
    subjects: &[Subject],
    name: &str,
    warm_up: &str,
    operations: &str,
) -> Result<(), Box<dyn Error>> {
    let (warm_up, operations): (u32, u32) = (warm_up.parse()?, operations.parse()?);
    let subject = subjects.iter().find(|subject| subject.name == name).ok_or("no such subject")?;
    let mut operation = (subject.prepare)();
    (0..warm_up).for_each(|_| operation());
    let (allocated, begun) = (allocations::made(), cpu_time());
    (0..operations).for_each(|_| black_box(&mut operation)());
    let elapsed = cpu_time().saturating_sub(begun);
    let allocated = allocations::made() - allocated;
    println!(
        "{} {}",
        elapsed.as_nanos() as f64 / f64::from(operations),
        allocated as f64 / f64::from(operations)
    );
    Ok(())
}

/// What this thread has used. Other programs on the machine hardly change it, as they do the time that passes.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Nanoseconds and allocations of one operation.
fn cost(subject: &Subject, warm_up: u32, operations: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let program = Command::new(std::env::current_exe()?);
    let output = subject.command(program, warm_up, operations).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} failed: {said}", subject.name).into());
    }
    let printed = String::from_utf8(output.stdout)?;
    let (time, allocated) = printed.trim().split_once(' ').ok_or("no figures were printed")?;
    Ok((time.parse()?, allocated.parse()?))
}

fn table(bench: &Bench) -> Result<(), Box<dyn Error>> {
    println!(
        "| operation | instructions + behind | at most | allocations | CPU time (median of {ROUNDS}) |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let mut counts = HashMap::new();
    for subject in bench.subjects {
        let (first, _) = cost(subject, 1, 3)?;
        let repeats = if first > LONG_NANOS { REPEATS_OF_LONG } else { REPEATS };
        let counted = callgrind::instructions_of_one(repeats.counted, |program, operations| {
            subject.command(program, repeats.warm_up, operations)
        });
        let instructions = match &counted {
            Ok(count) => format!("{:.0} + {:.0}", count.working, count.behind),
            Err(error) => error.to_string(),
        };
        let working = counted.ok().map(|count| count.working);
        counts.insert(subject.name, working);
        let goal = match subject.goal {
            Goal::Any => String::new(),
            Goal::AtMost(instructions) => instructions.to_string(),
            Goal::Times(ratio, other) => {
                let base = counts.get(other).copied().flatten();
                let is = working.zip(base).map_or(f64::NAN, |(working, base)| working / base);
                format!("{is:.2} of {ratio} × {other}")
            }
        };
        let timed = repeats.timed.min(bench.most_operations);
        let costs: Result<Vec<_>, _> =
            (0..ROUNDS).map(|_| cost(subject, repeats.warm_up, timed)).collect();
        let mut costs = costs?;
        costs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (time, allocated) = costs[ROUNDS / 2];
        println!("| {} | {instructions} | {goal} | {allocated:.2} | {time:.0} ns |", subject.name);
    }
    Ok(())
}

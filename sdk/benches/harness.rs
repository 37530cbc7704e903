//! Measures what one operation costs: instructions by callgrind, allocations, CPU time.
//!
//! `cargo bench` prints a table. Under `cargo test` every operation runs a few times, so that a bench that
//! does not work any more is noticed. A subject runs in a process of its own, since most set a global.

mod allocations;
mod callgrind;

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
    pub(crate) name: &'static str,
    /// Sets it up in this process.
    pub(crate) prepare: fn() -> Operation,
    /// So many instructions it may take.
    pub(crate) most_instructions: Option<u32>,
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

/// The `main` of a bench.
pub(crate) fn main(subjects: &[Subject]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["one", name, warm_up, operations] => one(subjects, name, warm_up, operations),
        _ if words.contains(&"--bench") => table(subjects),
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
    let mut command = Command::new(std::env::current_exe()?);
    let repeats = [warm_up, operations].map(|number| number.to_string());
    let output = command.args(["one", subject.name]).args(repeats).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} failed: {said}", subject.name).into());
    }
    let printed = String::from_utf8(output.stdout)?;
    let (time, allocated) = printed.trim().split_once(' ').ok_or("no figures were printed")?;
    Ok((time.parse()?, allocated.parse()?))
}

fn table(subjects: &[Subject]) -> Result<(), Box<dyn Error>> {
    println!(
        "| operation | instructions + behind | at most | allocations | CPU time (median of {ROUNDS}) |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for subject in subjects {
        let (first, _) = cost(subject, 1, 3)?;
        let repeats = if first > LONG_NANOS { REPEATS_OF_LONG } else { REPEATS };
        let warm_up = repeats.warm_up.to_string();
        let instructions = callgrind::instructions_of_one(repeats.counted, |operations| {
            let operations = operations.to_string();
            ["one", subject.name, &warm_up, &operations].map(str::to_owned).to_vec()
        });
        let instructions = instructions.map_or_else(
            |error| error.to_string(),
            |count| format!("{:.0} + {:.0}", count.working, count.behind),
        );
        let costs: Result<Vec<_>, _> =
            (0..ROUNDS).map(|_| cost(subject, repeats.warm_up, repeats.timed)).collect();
        let mut costs = costs?;
        costs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (time, allocated) = costs[ROUNDS / 2];
        let most = subject.most_instructions.map_or_else(String::new, |most| most.to_string());
        println!("| {} | {instructions} | {most} | {allocated:.2} | {time:.0} ns |", subject.name);
    }
    Ok(())
}

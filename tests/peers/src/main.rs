//! Spanline side by side with its peers.
//!
//! `peers` prints one markdown table. For each work it starts itself once for each subject and round
//! (`peers one WORK SUBJECT OPERATIONS`), because most subjects set a global that cannot be taken back:
//! times come from interleaved rounds, instructions from callgrind as the difference of a long and a short
//! run, which leaves start-up out.

mod allocations;
mod lines;
mod measure;
mod requests;
mod serve;
mod spans;
mod table;
mod work;

use std::process::ExitCode;
use std::time::Instant;

use crate::work::Prepare;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => table::print(measure::Effort::FULL),
        ["--quick"] => table::print(measure::Effort::QUICK),
        ["one", work, subject, operations] => one(work, subject, operations),
        _ => {
            eprintln!("peers: usage: peers [--quick]");
            ExitCode::from(2)
        }
    }
}

/// Does one work by one subject, and prints nanoseconds and allocations for each operation.
fn one(work: &str, subject: &str, operations: &str) -> ExitCode {
    let works = work::all();
    let found = works
        .iter()
        .filter(|candidate| candidate.name == work)
        .flat_map(|candidate| &candidate.subjects)
        .find(|candidate| candidate.name == subject);
    let (Some(found), Ok(operations)) = (found, operations.parse::<u32>()) else {
        eprintln!("peers: no work {work:?} by {subject:?}, or {operations:?} is not a number");
        return ExitCode::from(2);
    };
    let mut operation = match found.prepare {
        Prepare::Operation(prepare) => prepare(),
        Prepare::Server(prepare) => return serve::until_killed(prepare()),
    };
    for _ in 0..measure::WARM_UP_OPERATIONS {
        operation();
    }
    let (allocations, start) = (allocations::made(), Instant::now());
    for _ in 0..operations {
        operation();
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(operations);
    let allocations = (allocations::made() - allocations) as f64 / f64::from(operations);
    println!("{nanoseconds} {allocations}");
    ExitCode::SUCCESS
}

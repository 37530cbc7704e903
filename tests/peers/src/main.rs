//! Spanline side by side with its peers.
//!
//! `peers` prints one markdown table. For each figure it starts itself anew (`peers one SUBJECT WAY
//! OPERATIONS`), because most subjects set a global that cannot be taken back: times come from interleaved
//! rounds, instructions from callgrind as the difference of a long and a short run, which leaves start-up out. Held to
//! the goals are those of the thread that does the work; what a writer or an exporter does behind it stands
//! beside them, and is part of the CPU under load.

#[path = "../../../sdk/benches/harness/allocations.rs"]
mod allocations;
#[path = "../../../sdk/benches/harness/callgrind.rs"]
mod callgrind;
mod lines;
mod measure;
mod metrics;
mod requests;
mod serve;
mod spans;
mod table;
mod threads;
mod work;

use std::process::ExitCode;
use std::time::Instant;

use crate::work::{Operation, Way};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => table::print(measure::Effort::FULL),
        ["--quick"] => table::print(measure::Effort::QUICK),
        ["one", subject, way, operations] => one(subject, way, operations),
        _ => {
            eprintln!("peers: usage: peers [--quick]");
            ExitCode::from(2)
        }
    }
}

/// Does one work by one subject, and prints nanoseconds (or how much more two threads do than one) and
/// allocations for each operation.
fn one(subject: &str, way: &str, operations: &str) -> ExitCode {
    let areas = work::all();
    let found = areas.iter().find_map(|area| {
        let subject = area.subjects.iter().find(|it| it.name == subject)?;
        Some((subject.way(way)?, area.max_operations))
    });
    let (Some((found, most)), Ok(operations)) = (found, operations.parse::<u32>()) else {
        eprintln!("peers: no {subject:?} as {way:?}, or {operations:?} is not a number");
        return ExitCode::from(2);
    };
    match found {
        Way::Server(prepare) => return serve::until_killed(prepare()),
        Way::Threads(set_up, each) => {
            set_up();
            println!("{} 0", threads::speedup(each, operations));
        }
        Way::Operation(prepare) => print_cost(prepare(), operations, most),
    }
    ExitCode::SUCCESS
}

fn print_cost(mut operation: Operation, operations: u32, most: u32) {
    for _ in 0..measure::WARM_UP_OPERATIONS.min(most) {
        operation();
    }
    let (allocations, start) = (allocations::made(), Instant::now());
    for _ in 0..operations {
        operation();
    }
    let nanoseconds = start.elapsed().as_nanos() as f64 / f64::from(operations);
    let allocations = (allocations::made() - allocations) as f64 / f64::from(operations);
    println!("{nanoseconds} {allocations}");
}

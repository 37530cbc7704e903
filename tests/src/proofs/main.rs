//! What is promised for load: measured, put beside its goal, and answered with yes or no.
//!
//! `tests/proofs/run` builds it and runs it. Each measurement is a process of its own: this program again, in
//! the role that its first argument names.

mod black_hole;
mod blocked_stdout;
mod child;
mod made_up_requests;
mod whole_lines;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

/// How long, and how often.
struct Extent {
    black_hole: Duration,
    blocked: Duration,
    pairs: usize,
    lines_each: usize,
    paths: u64,
    methods: u64,
}

const FULL: Extent = Extent {
    black_hole: Duration::from_secs(60),
    blocked: Duration::from_secs(30),
    pairs: 5,
    lines_each: 10_000,
    paths: 1_000_000,
    methods: 10_000,
};
const QUICK: Extent = Extent {
    black_hole: Duration::from_secs(10),
    blocked: Duration::from_secs(5),
    pairs: 3,
    lines_each: 500,
    paths: 20_000,
    methods: 1_000,
};

/// One promise.
struct Row {
    what: String,
    measured: String,
    goal: String,
    is_met: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["spans", seconds] => black_hole::make_spans(seconds).map(|()| true),
        ["lines", lines_each] => whole_lines::log(lines_each).map(|()| true),
        ["requests", paths, methods] => made_up_requests::serve(paths, methods).map(|()| true),
        ["service"] => blocked_stdout::serve().map(|()| true),
        [] => prove(&FULL),
        ["--quick"] => prove(&QUICK),
        _ => {
            eprintln!("usage: tests/proofs/run [--quick]");
            return ExitCode::from(64);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("proofs: {error}");
            ExitCode::from(70)
        }
    }
}

/// Prints the table; whether every goal is met.
fn prove(extent: &Extent) -> io::Result<bool> {
    println!("| promise | measured | goal | met |\n| --- | --- | --- | --- |");
    let mut is_met = true;
    let proofs: [&dyn Fn() -> io::Result<Vec<Row>>; 4] = [
        &|| made_up_requests::prove(extent.paths, extent.methods),
        &|| whole_lines::prove(extent.lines_each),
        &|| black_hole::prove(extent.black_hole),
        &|| blocked_stdout::prove(extent.blocked, extent.pairs),
    ];
    for proof in proofs {
        for row in proof()? {
            let met = if row.is_met { "yes" } else { "no" };
            println!("| {} | {} | {} | {met} |", row.what, row.measured, row.goal);
            is_met &= row.is_met;
        }
    }
    Ok(is_met)
}

//! One markdown table: work | ours | each peer | goal | met.

use std::process::ExitCode;

use crate::measure::{self, Cost, Counts, Effort};
use crate::work::{self, Goal, Work};

/// What our subjects' names begin with.
pub const OURS: &str = "spanline";

/// Measures every work and prints the table; a row that falls short stays in it, with its `no`.
pub fn print(effort: Effort) -> ExitCode {
    println!("| work | ours | peers | goal | met |");
    println!("| --- | --- | --- | --- | --- |");
    for work in work::all() {
        eprintln!("peers: {} …", work.name);
        match measure::costs(&work, effort) {
            Ok(costs) => rows(&work, &costs),
            Err(error) => {
                eprintln!("peers: {}: {error}", work.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn rows(work: &Work, costs: &[Cost]) {
    let named: Vec<(&str, Cost)> =
        work.subjects.iter().map(|subject| subject.name).zip(costs.iter().copied()).collect();
    let Some(&(_, baseline)) = named.iter().find(|(name, _)| *name == work.baseline) else {
        return;
    };
    let ours = named.iter().find(|(name, _)| name.starts_with(OURS));
    let peers: Vec<String> = named
        .iter()
        .filter(|(name, _)| !name.starts_with(OURS))
        .map(|(name, cost)| format!("{name}: {}", describe(*cost, baseline)))
        .collect();
    let (name, cost) = match ours {
        Some(&(name, cost)) => (format!("{name}: {}", describe(cost, baseline)), cost),
        None => return println!("| {} | nobody | {} | | no |", work.name, peers.join("<br>")),
    };
    for goal in &work.goals {
        let (text, met) = judge(*goal, cost, baseline);
        let met = if met { "yes" } else { "no" };
        println!("| {} | {name} | {} | {text} | {met} |", work.name, peers.join("<br>"));
    }
}

fn describe(cost: Cost, baseline: Cost) -> String {
    let time =
        format!("{:.0} ns ({:.2}×)", cost.nanoseconds, cost.nanoseconds / baseline.nanoseconds);
    match (cost.counts, baseline.counts) {
        (Some(counts), Some(base)) => format!(
            "{time}, {:.0} instructions ({:.2}×), {:.1} allocations",
            counts.instructions,
            counts.instructions / base.instructions,
            counts.allocations,
        ),
        _ => time,
    }
}

/// The goal in words, and whether it is met. A queue that grows now and then is no allocation of an operation; a count that was not taken meets nothing.
fn judge(goal: Goal, cost: Cost, baseline: Cost) -> (String, bool) {
    let counts = cost.counts.zip(baseline.counts);
    let met = |judge: &dyn Fn(Counts, Counts) -> bool| counts.is_some_and(|(c, b)| judge(c, b));
    match goal {
        Goal::Instructions(most) => {
            (format!("≤ {most:.0} instructions"), met(&|cost, _| cost.instructions <= most))
        }
        Goal::Allocations(most) => {
            (format!("≤ {most:.0} allocations"), met(&|cost, _| cost.allocations.round() <= most))
        }
        Goal::ExtraAllocations(most) => (
            format!("≤ {most:.0} allocations more"),
            met(&|cost, base| (cost.allocations - base.allocations).round() <= most),
        ),
        Goal::InstructionRatio(most) => (
            format!("≤ {most:.2}× instructions"),
            met(&|cost, base| cost.instructions / base.instructions <= most),
        ),
        Goal::TimeRatio(most) => {
            (format!("≤ {most:.2}× time"), cost.nanoseconds / baseline.nanoseconds <= most)
        }
    }
}

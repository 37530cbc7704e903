//! One markdown table: work | ours | each peer | goal | met.

use std::collections::HashMap;
use std::process::ExitCode;

use crate::callgrind::Instructions;
use crate::measure::{self, Cost, Counts, Effort};
use crate::work::{self, Goal, Work};

/// A part of the instructions that is not worth a word.
const NOISE: f64 = 0.02;

type Costs = HashMap<&'static str, Cost>;

/// Measures everybody and prints the table; a row that falls short stays in it, with its `no`.
pub fn print(effort: Effort) -> ExitCode {
    println!("| work | ours | peers | goal | met |");
    println!("| --- | --- | --- | --- | --- |");
    for area in work::all() {
        eprintln!("peers: measuring {} subjects …", area.subjects.len());
        match measure::costs(&area, effort) {
            Ok(costs) => area.works.iter().for_each(|work| println!("{}", row(work, &costs))),
            Err(error) => {
                eprintln!("peers: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// A row, with everybody's costs beside the baseline's.
fn row(work: &Work, costs: &Costs) -> String {
    let cost = |name: &str| costs.get(name).cloned().unwrap_or_default();
    let baseline = cost(work.baseline);
    let describe = |names: &[&str]| {
        let each = names.iter().map(|name| format!("{name}: {}", describe(&cost(name), &baseline)));
        each.collect::<Vec<_>>().join("<br>")
    };
    let goals = work.goals.iter().map(|goal| judge(*goal, &cost(work.ours[0]), &baseline, costs));
    let (goals, missed): (Vec<_>, Vec<_>) =
        goals.map(|(text, is_met)| (text.clone(), (!is_met).then_some(text))).unzip();
    let missed: Vec<_> = missed.into_iter().flatten().collect();
    let met = if missed.is_empty() { "yes".into() } else { format!("no: {}", missed.join(", ")) };
    let (ours, peers) = (describe(&work.ours), describe(&work.peers));
    format!("| {} | {ours} | {peers} | {} | {met} |", work.name, goals.join("<br>"))
}

/// Everything that is known of a cost.
fn describe(cost: &Cost, baseline: &Cost) -> String {
    let mut parts = Vec::new();
    if let Some(counts) = cost.counts {
        let Instructions { working, behind } = counts.instructions;
        let ratio = baseline.counts.map_or(1.0, |base| working / base.instructions.working);
        // What two runs differ by without any work behind is no work either.
        let behind = (behind > NOISE * working).then(|| format!(" + {behind:.0} behind"));
        parts.push(format!(
            "{working:.0}{} instructions ({ratio:.2}×), {:.1} allocations",
            behind.unwrap_or_default(),
            counts.allocations
        ));
    }
    for (what, figures, base) in [
        ("ns", &cost.nanoseconds, &baseline.nanoseconds),
        ("ns of CPU under wrk", &cost.load_nanoseconds, &baseline.load_nanoseconds),
    ] {
        if let (Some(figure), Some(ratio)) = (Spread::of(figures), ratio(figures, base)) {
            parts.push(format!(
                "{:.0} {what} ({:.2}×, {:.2}–{:.2})",
                figure.median, ratio.median, ratio.lower, ratio.upper
            ));
        }
    }
    if let Some(Spread { median, lower, upper }) = Spread::of(&cost.speedup) {
        parts.push(format!("two threads do {median:.2}× ({lower:.2}–{upper:.2}) of one"));
    }
    parts.join(", ")
}

/// The median of figures, and where the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    lower: f64,
    upper: f64,
}

impl Spread {
    fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |numerator: usize| {
            sorted.get((sorted.len().checked_sub(1)? * numerator + 2) / 4).copied()
        };
        Some(Self { median: at(2)?, lower: at(1)?, upper: at(3)? })
    }
}

/// Of two lists, round by round.
fn ratio(figures: &[f64], baseline: &[f64]) -> Option<Spread> {
    let ratios: Vec<f64> = figures.iter().zip(baseline).map(|(one, base)| one / base).collect();
    Spread::of(&ratios)
}

/// The goal in words, and whether it is met. What was not measured meets nothing.
fn judge(goal: Goal, cost: &Cost, baseline: &Cost, costs: &Costs) -> (String, bool) {
    let count = |judge: &dyn Fn(Counts) -> bool| cost.counts.is_some_and(judge);
    let at_most = |spread: Option<Spread>, most: f64| spread.is_some_and(|it| it.median <= most);
    match goal {
        Goal::Instructions(most) => {
            (format!("≤ {most:.0} instructions"), count(&|cost| cost.instructions.working <= most))
        }
        // A queue that grows now and then is no allocation of an operation.
        Goal::Allocations(most) => {
            (format!("≤ {most:.0} allocations"), count(&|cost| cost.allocations.round() <= most))
        }
        Goal::MoreAllocations(most, name) => {
            let other = costs.get(name).and_then(|other| other.counts);
            let is_met = |cost: Counts| {
                other.is_some_and(|it| (cost.allocations - it.allocations).round() <= most)
            };
            (format!("≤ {most:.0} allocations more than {name}"), count(&is_met))
        }
        Goal::Nanoseconds(most) => {
            (format!("≤ {most:.0} ns"), at_most(Spread::of(&cost.nanoseconds), most))
        }
        Goal::InstructionRatio(most) => {
            let base = baseline.counts;
            let is_met = |cost: Counts| {
                base.is_some_and(|base| {
                    cost.instructions.working / base.instructions.working <= most
                })
            };
            (format!("≤ {most:.2}× instructions"), count(&is_met))
        }
        Goal::TimeRatio(most) => {
            let ratio = ratio(&cost.nanoseconds, &baseline.nanoseconds);
            (format!("≤ {most:.2}× time"), at_most(ratio, most))
        }
        Goal::LoadRatio(most) => {
            let ratio = ratio(&cost.load_nanoseconds, &baseline.load_nanoseconds);
            (format!("≤ {most:.2}× CPU under wrk"), at_most(ratio, most))
        }
        Goal::Speedup(least) => {
            let is_met = Spread::of(&cost.speedup).is_some_and(|it| it.median >= least);
            (format!("two threads ≥ {least:.1}× of one"), is_met)
        }
    }
}

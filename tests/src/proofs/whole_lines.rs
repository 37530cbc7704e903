//! Many threads that log lines of all lengths at once, into a pipe that is read: each line that comes out is whole.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::thread;
use std::time::Duration;

use crate::Row;
use crate::child::Role;

const THREADS: usize = 64;
const LONGEST_BYTES: usize = 64 * 1024;
/// With so many of each thread, some are dropped and most are not.
const LINES_BETWEEN_FLUSHES: usize = 64;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The default cap, newline included.
const MOST_BYTES_OF_LINE: usize = 16_000;

pub(crate) fn prove(lines_each: usize) -> io::Result<Vec<Row>> {
    let vars = [
        ("OTEL_TRACES_EXPORTER", "none"),
        ("RUST_LOG", "info"),
        ("SPANLINE_LOG_FORMAT", "text"),
        ("SPANLINE_LOG_OUTPUT", "stdout"),
    ];
    let mut role = Role::start(&["lines", &lines_each.to_string()], &vars)?;
    let payloads = Payloads::new();
    let mut last_of = BTreeMap::new();
    let (mut read, mut not_whole) = (0_u64, 0_u64);
    for line in BufReader::new(&mut role.stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if line.contains(" WARN spanline: dropped ") {
            continue;
        }
        read += 1;
        let is_whole = payloads.of_line(&line).is_some_and(|(thread, number)| {
            // Of one thread, lines come in the order in which they were logged.
            last_of.insert(thread, number) < Some(number)
        });
        not_whole += u64::from(!is_whole);
    }
    let figures = role.figures()?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(u64::MAX);
    let (emitted, written, dropped) = (figure("emitted"), figure("written"), figure("dropped"));
    let unaccounted = ((THREADS * lines_each) as u64).abs_diff(emitted)
        + emitted.abs_diff(written.saturating_add(dropped))
        + written.abs_diff(read);
    let what = format!("{THREADS} threads × {lines_each} lines of 1 B to 64 KiB through a pipe");
    Ok(vec![
        Row {
            what: format!("{what}: torn or interleaved lines"),
            measured: format!("{not_whole} of {read} (the longest kept in 16,000 B)"),
            goal: "0".to_owned(),
            is_met: not_whole == 0 && read > 0,
        },
        Row {
            what: format!("{what}: lines emitted − (written + dropped), and written − read"),
            measured: format!("{unaccounted} unaccounted ({written} written, {dropped} dropped)"),
            goal: "0".to_owned(),
            is_met: unaccounted == 0,
        },
    ])
}

/// The program that logs.
pub(crate) fn log(lines_each: &str) -> io::Result<()> {
    let lines_each = lines_each.parse().map_err(io::Error::other)?;
    let telemetry = spanline::builder("proofs").init();
    let payloads = Payloads::new();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (telemetry, payloads) = (&telemetry, &payloads);
            scope.spawn(move || {
                for number in 0..lines_each {
                    let payload = payloads.get(thread, number);
                    tracing::info!("{thread} {number} : {payload}");
                    // Faster than any reader, nearly all lines would be dropped.
                    if number % LINES_BETWEEN_FLUSHES == 0 {
                        telemetry.flush(FLUSH_TIMEOUT);
                    }
                }
            });
        }
    });
    telemetry.shutdown();
    let lines = telemetry.ledger().lines;
    for (name, figure) in
        [("emitted", lines.emitted), ("written", lines.written), ("dropped", lines.dropped.total())]
    {
        eprintln!("{name} {figure}");
    }
    Ok(())
}

/// For each line a text whose every part tells whose it is: one line cannot hold another's.
struct Payloads {
    /// One letter each, as often as the longest text needs it.
    letters: Vec<String>,
}

impl Payloads {
    fn new() -> Self {
        let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_']);
        Self { letters: letters.map(|letter| letter.to_string().repeat(LONGEST_BYTES)).collect() }
    }

    /// Short ones are as common as long ones are in bytes.
    fn get(&self, thread: usize, number: usize) -> &str {
        // Any numbers do that are the same in both processes and different from line to line.
        let mixed = (thread * 1_000_003 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let bytes = LONGEST_BYTES >> (mixed % 17);
        let bytes = bytes / 2 + mixed / 17 % (bytes / 2 + 1);
        &self.letters[thread % self.letters.len()][..bytes.max(1)]
    }

    /// Which thread's which line this is; `None` if anything about it is wrong.
    fn of_line(&self, line: &str) -> Option<(usize, usize)> {
        let (head, payload) = line.split_once(" : ")?;
        let (_, numbers) = head.split_once(" INFO spanline_proofs::whole_lines: ")?;
        let (thread, number) = numbers.split_once(' ')?;
        let (thread, number) = (thread.parse().ok()?, number.parse().ok()?);
        let (kept, cut) = payload.split_once("…[+").unwrap_or((payload, "0 bytes]"));
        let cut: usize = cut.strip_suffix(" bytes]")?.parse().ok()?;
        let expected = self.get(thread, number);
        let is_whole = expected.starts_with(kept)
            && kept.len() + cut == expected.len()
            && line.len() < MOST_BYTES_OF_LINE;
        is_whole.then_some((thread, number))
    }
}

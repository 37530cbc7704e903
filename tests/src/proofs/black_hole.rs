//! An agent that accepts and never answers, at 20,000 spans a second.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use spanline::LogFormat;

use crate::Row;
use crate::child::Role;

const SPANS_PER_SECOND: u64 = 20_000;
const MOST_NANOS_AT_P99: u64 = 5_000;
/// A minute, but for the way through the pipe.
const LEAST_QUIET: Duration = Duration::from_millis(59_900);
const MOST_MORE_KIB: u64 = 32 * 1024;

pub(crate) fn prove(time: Duration) -> io::Result<Vec<Row>> {
    let hole = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", hole.local_addr()?);
    let seconds = time.as_secs().to_string();
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut role = Role::start(&["spans", &seconds], &vars)?;
    let mut warned_at: HashMap<String, Instant> = HashMap::new();
    let mut shortest_quiet: Option<Duration> = None;
    for line in BufReader::new(&mut role.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        let now = Instant::now();
        if let Some(before) = warned_at.insert(line["message"].to_string(), now) {
            let quiet = now - before;
            shortest_quiet = Some(shortest_quiet.map_or(quiet, |shortest| shortest.min(quiet)));
        }
    }
    let figures = role.figures()?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(u64::MAX);
    let what = format!("agent black-holed, {SPANS_PER_SECOND} spans/s for {seconds} s");
    let quiet = match shortest_quiet {
        Some(quiet) => format!("{:.1} s", quiet.as_secs_f64()),
        None => "none came twice".to_owned(),
    };
    let more_kib = figure("peak_kib").saturating_sub(figure("before_kib"));
    let row = |about: &str, measured: String, goal: String, is_met: bool| Row {
        what: format!("{what}: {about}"),
        measured,
        goal,
        is_met,
    };
    Ok(vec![
        row(
            "more resident memory",
            format!("{:.1} MiB", more_kib as f64 / 1024.0),
            format!("≤ {} MiB", MOST_MORE_KIB / 1024),
            more_kib <= MOST_MORE_KIB,
        ),
        row(
            "caller's cost per span, p99 (p50)",
            format!("{} ns ({} ns)", figure("p99_nanos"), figure("p50_nanos")),
            format!("≤ {MOST_NANOS_AT_P99} ns"),
            figure("p99_nanos") <= MOST_NANOS_AT_P99,
        ),
        row(
            "between two warnings of one cause",
            format!("{quiet} ({} causes)", warned_at.len()),
            "≥ 60 s".to_owned(),
            !warned_at.is_empty() && shortest_quiet.is_none_or(|quiet| quiet >= LEAST_QUIET),
        ),
        row(
            "spans made; ended = exported + queued + dropped",
            format!("{}; {} unaccounted", figure("ended"), figure("unaccounted")),
            "0 unaccounted".to_owned(),
            figure("ended") == SPANS_PER_SECOND * time.as_secs() && figure("unaccounted") == 0,
        ),
    ])
}

/// The process that makes the spans, and measures itself.
pub(crate) fn make_spans(seconds: &str) -> io::Result<()> {
    let seconds: u64 = seconds.parse().map_err(io::Error::other)?;
    let telemetry = spanline::builder("proofs").log_format(LogFormat::Json).init();
    let mut nanos = Vec::new();
    // Every page of it is touched before the memory is looked at.
    nanos.resize((SPANS_PER_SECOND * seconds) as usize, u32::MAX);
    let before_kib = memory_kib("VmRSS:")?;
    let period = Duration::from_secs(1) / SPANS_PER_SECOND as u32;
    let mut due = Instant::now();
    for (number, nanos) in nanos.iter_mut().enumerate() {
        // Evenly, and awake as a busy service is: after a sleep the processor's caches are somebody else's.
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due += period;
        let began = Instant::now();
        drop(tracing::info_span!("work", number, kind = "proof").entered());
        *nanos = u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX);
    }
    let peak_kib = memory_kib("VmHWM:")?;
    let ledger = telemetry.ledger().spans;
    nanos.sort_unstable();
    let accounted = ledger.exported + ledger.queued + ledger.dropped.total();
    for (name, figure) in [
        ("before_kib", before_kib),
        ("peak_kib", peak_kib),
        ("p50_nanos", nanos[nanos.len() / 2].into()),
        ("p99_nanos", nanos[nanos.len() * 99 / 100].into()),
        ("ended", ledger.ended),
        ("unaccounted", ledger.ended.abs_diff(accounted)),
    ] {
        eprintln!("{name} {figure}");
    }
    telemetry.shutdown();
    Ok(())
}

fn memory_kib(field: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no {field} in /proc/self/status")))
}

//! An agent that accepts and never answers, at 20,000 spans a second.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use spanline::LogFormat;

use crate::Row;
use crate::child::Role;

const SPANS_PER_SECOND: u64 = 20_000;
const TICK: Duration = Duration::from_millis(1);
const MOST_NANOS_AT_P99: u64 = 5_000;
const MOST_MORE_KIB: u64 = 32 * 1024;

pub(crate) fn prove(time: Duration) -> io::Result<Vec<Row>> {
    let hole = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", hole.local_addr()?);
    let seconds = time.as_secs().to_string();
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut role = Role::start(&["spans", &seconds], &vars)?;
    let mut warnings: HashMap<String, u64> = HashMap::new();
    for line in BufReader::new(&mut role.stdout).lines() {
        let line: serde_json::Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
        // That of the shutdown is said once, and of no cause above.
        *warnings.entry(line["message"].to_string()).or_default() += 1;
    }
    let figures = role.figures()?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(u64::MAX);
    let what = format!("agent black-holed, {SPANS_PER_SECOND} spans/s for {seconds} s");
    let minutes = time.as_secs().div_ceil(60);
    let most = warnings.values().copied().max().unwrap_or(0);
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
            "warnings for one cause",
            format!("{most} ({} causes)", warnings.len()),
            format!("≤ {minutes}, one a minute"),
            most <= minutes,
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
    let per_tick = SPANS_PER_SECOND / 1_000 * TICK.as_millis() as u64;
    let began = Instant::now();
    for (tick, of_tick) in nanos.chunks_mut(per_tick as usize).enumerate() {
        let at = began + TICK * tick as u32;
        thread::sleep(at.saturating_duration_since(Instant::now()));
        for nanos in of_tick {
            let began = Instant::now();
            drop(tracing::info_span!("work", tick, kind = "proof").entered());
            *nanos = u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX);
        }
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

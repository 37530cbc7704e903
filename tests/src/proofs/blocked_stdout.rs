//! A service whose stdout nobody reads, beside one that logs nothing, at 10,000 requests a second.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Row;
use crate::child::Role;

const REQUESTS_PER_SECOND: u32 = 10_000;
const CONNECTIONS: u32 = 50;
/// Not measured: connections are made, memory is touched.
const WARM_UP: Duration = Duration::from_secs(1);
const MOST_RATIO: f64 = 1.10;
/// With fewer requests it was not the load that is promised.
const LEAST_OF_LOAD: f64 = 0.95;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: proofs\r\n\r\n";

struct Run {
    p99: Duration,
    requests: u64,
    unaccounted: u64,
    dropped: u64,
}

pub(crate) fn prove(time: Duration, pairs: usize) -> io::Result<Vec<Row>> {
    let mut ratios = Vec::new();
    let mut blocked_runs = Vec::new();
    for pair in 0..pairs {
        // Each goes first every other time.
        let silent_first = pair % 2 == 0;
        let first = run(if silent_first { "off" } else { "info" }, time)?;
        let second = run(if silent_first { "info" } else { "off" }, time)?;
        let (silent, blocked) = if silent_first { (first, second) } else { (second, first) };
        eprintln!(
            "p99 {:?} without lines, {:?} with stdout blocked; {} and {} requests, {} lines dropped",
            silent.p99, blocked.p99, silent.requests, blocked.requests, blocked.dropped
        );
        ratios.push(blocked.p99.as_secs_f64() / silent.p99.as_secs_f64());
        blocked_runs.push(blocked);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let least = blocked_runs.iter().map(|run| run.requests).min().unwrap_or(0);
    let load = least as f64 / time.as_secs_f64();
    let unaccounted: u64 = blocked_runs.iter().map(|run| run.unaccounted).sum();
    let what = format!(
        "stdout blocked for {} s at {REQUESTS_PER_SECOND} requests/s ({pairs} pairs)",
        time.as_secs()
    );
    Ok(vec![
        Row {
            what: format!("{what}: p99 ÷ that without lines, median"),
            measured: format!("{ratio:.2} ({load:.0} requests/s)"),
            goal: format!("≤ {MOST_RATIO:.2}"),
            is_met: ratio <= MOST_RATIO && load >= LEAST_OF_LOAD * f64::from(REQUESTS_PER_SECOND),
        },
        Row {
            what: format!("{what}: lines emitted − (written + dropped), and written − read"),
            measured: format!("{unaccounted} unaccounted"),
            goal: "0".to_owned(),
            is_met: unaccounted == 0,
        },
    ])
}

/// One service under load, while nobody reads its stdout; it is read at the end.
fn run(filter: &str, time: Duration) -> io::Result<Run> {
    let vars = [("RUST_LOG", filter), ("OTEL_TRACES_EXPORTER", "none")];
    let mut role = Role::start(&["service"], &vars)?;
    let address: SocketAddr = role.says()?.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut times = runtime.block_on(load(address, time))?;
    times.sort_unstable();

    let pid = Pid::from_raw(role.process.id().cast_signed()).ok_or(io::ErrorKind::NotFound)?;
    kill_process(pid, Signal::TERM)?;
    let mut read = 0;
    for line in BufReader::new(&mut role.stdout).lines() {
        read += u64::from(!line?.contains("spanline: dropped "));
    }
    let figures = role.figures()?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(u64::MAX);
    let accounted = figure("written").saturating_add(figure("dropped"));
    Ok(Run {
        p99: times.get(times.len() * 99 / 100).copied().unwrap_or(Duration::MAX),
        requests: times.len() as u64,
        unaccounted: figure("emitted").abs_diff(accounted) + figure("written").abs_diff(read),
        dropped: figure("dropped"),
    })
}

/// Each request is due at its own time, whether or not the one before was answered: an answer that is late
/// makes the next ones late, and is seen in their times as well.
async fn load(address: SocketAddr, time: Duration) -> io::Result<Vec<Duration>> {
    let period = Duration::from_secs(1) * CONNECTIONS / REQUESTS_PER_SECOND;
    let began = Instant::now();
    let mut connections: JoinSet<io::Result<_>> = JoinSet::new();
    for number in 0..CONNECTIONS {
        connections.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut times = Vec::new();
            let mut buffer = [0; 1024];
            let mut due = began + period * number / CONNECTIONS;
            let mut answered = began;
            while due < began + WARM_UP + time {
                tokio::time::sleep_until(due).await;
                // The timer's own lateness is not the service's.
                let sent = if answered > due { due } else { Instant::now() };
                stream.write_all(REQUEST).await?;
                let mut length = 0;
                while !buffer[..length].ends_with(b"hello") {
                    match stream.read(&mut buffer[length..]).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        more => length += more,
                    }
                }
                answered = Instant::now();
                if due >= began + WARM_UP {
                    times.push(answered - sent);
                }
                due += period;
            }
            Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(connection) = connections.join_next().await {
        times.extend(connection.map_err(io::Error::other)??);
    }
    Ok(times)
}

/// The service: a line for each request.
pub(crate) fn serve() -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let telemetry = spanline::builder("proofs").init();
        let handler = || async {
            tracing::info!(sku = 12, user = "ada", "added item");
            "hello"
        };
        let app = Router::new().route("/", get(handler)).layer(spanline::http::server());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        eprintln!("{}", listener.local_addr()?);
        spanline::serve(listener, app).await?;
        let lines = telemetry.ledger().lines;
        for (name, figure) in [
            ("emitted", lines.emitted),
            ("written", lines.written),
            ("dropped", lines.dropped.total()),
        ] {
            eprintln!("{name} {figure}");
        }
        Ok(())
    })
}

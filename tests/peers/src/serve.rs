//! A subject behind a real socket, and the load that meets it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};

use axum::Router;

/// Tells a server where there is somebody who takes spans.
pub const RECEIVER: &str = "PEERS_RECEIVER";

/// Connections that wrk keeps open.
const CONNECTIONS: &str = "32";

/// Clock ticks of `/proc/<pid>/stat` in a second; 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Serves on a free port of loopback, prints the port, and goes on until it is killed.
pub fn until_killed(app: Router) -> ExitCode {
    let served = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .and_then(|runtime| {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                println!("{}", listener.local_addr()?.port());
                axum::serve(listener, app).await
            })
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: could not serve: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Puts wrk on a server for a while, and says how many nanoseconds of its CPU each request took.
pub fn cpu_nanoseconds_per_request(mut server: Command, seconds: u32) -> io::Result<f64> {
    let receiver = TcpListener::bind("127.0.0.1:0")?;
    server.env(RECEIVER, format!("http://{}", receiver.local_addr()?));
    std::thread::spawn(move || receiver.incoming().flatten().for_each(take_all));
    let mut server = Killed(server.stdout(Stdio::piped()).spawn()?);
    let mut port = String::new();
    let printed = server.0.stdout.take().ok_or_else(|| io::Error::other("no stdout to read"))?;
    BufReader::new(printed).read_line(&mut port)?;
    let url = format!("http://127.0.0.1:{}/items/12", port.trim());
    load(&url, 1)?;
    let before = cpu_seconds(&server.0)?;
    let requests = load(&url, seconds)?;
    Ok((cpu_seconds(&server.0)? - before) * 1e9 / requests)
}

/// Answers every request of an OTLP/HTTP exporter with 200, until it hangs up.
fn take_all(stream: TcpStream) {
    let mut requests = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        let is_end_of_head = line == "\r\n";
        line.clear();
        if is_end_of_head {
            let _ = io::copy(&mut requests.by_ref().take(length), &mut io::sink());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            if requests.get_mut().write_all(answer).is_err() {
                return;
            }
        }
    }
}

/// A child that does not outlive its measurement.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs wrk, and says how many requests it made.
fn load(url: &str, seconds: u32) -> io::Result<f64> {
    let traceparent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let output = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-H", traceparent, url])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.trim().split(" requests in ").next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("wrk printed no count:\n{text}")))
}

/// User and system time of a process so far.
fn cpu_seconds(child: &Child) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    // The second field is the name in parentheses and may hold spaces; what follows it is numbers.
    let ticks: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    // utime and stime are fields 14 and 15; the state letter (field 3) is no number.
    match ticks.get(10..12) {
        Some([user, system]) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(io::Error::other(format!("cannot read {stat:?}"))),
    }
}

//! `/metrics` under clients that mean no good, or are broken: they have a bound in number and in time, and
//! others are served meanwhile.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use spanline::LogOutput;

/// What the docs of the listener promise.
const CONNECTIONS: usize = 32;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

fn connect(address: SocketAddr, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream
}

/// A scrape, if it is answered.
fn scrape(address: SocketAddr) -> Option<String> {
    let mut stream = connect(address, Duration::from_secs(5));
    let asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(asked).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

/// Whether the other side has closed; a read waits no longer than the stream's patience.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

// One test, since a process has one telemetry.
#[test]
fn those_who_read_nothing_or_say_nothing_are_bounded_and_others_are_served_meanwhile() {
    let telemetry = spanline::builder("checkout")
        .log_output(LogOutput::Discard)
        .otlp_endpoint("http://127.0.0.1:9")
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .shutdown_timeout(Duration::from_secs(1))
        .init();
    let address = telemetry.metrics_addr().unwrap();
    // More than the sockets' buffers hold.
    let bounds = || (0..200).map(f64::from);
    let sizes = telemetry.registry().histograms("size", "Sizes", ["of"], bounds()).unwrap();
    for of in 0..1_000 {
        sizes.with([&format!("{of:0100}")]).observe(1.0);
    }

    // One that asks and does not read: the page waits for it.
    let mut slow = connect(address, Duration::from_secs(5));
    slow.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut head = [0; 15];
    slow.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let began = Instant::now();
    assert!(scrape(address).is_some());
    assert!(began.elapsed() < Duration::from_secs(5), "a slow scraper holds up another");

    // Those that say nothing, or never finish, have the places until their time is up.
    let began = Instant::now();
    let mut silent: Vec<_> =
        (1..CONNECTIONS).map(|_| connect(address, Duration::from_secs(20))).collect();
    for stream in silent.iter_mut().take(5) {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").unwrap();
    }
    let mut refused = connect(address, Duration::from_secs(5));
    assert!(is_closed(&mut refused), "more than {CONNECTIONS} connections");
    assert!(silent.iter_mut().all(is_closed), "they may stay for ever");
    let took = began.elapsed();
    assert!(took >= HEADER_TIMEOUT.mul_f64(0.9), "{took:?}: a slow network needs its time");
    assert!(took < HEADER_TIMEOUT + Duration::from_secs(5), "{took:?}");

    let page = scrape(address).unwrap();
    assert!(page.contains("\nspanline_metrics_scrapers_refused_total 1\n"));
    drop(slow);
    telemetry.shutdown();
}

//! Many threads, one pipe: every line is whole, and none is lost without being counted.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use super::*;

const THREADS: usize = 64;
const LINES_EACH: usize = 500;
const LONGEST: usize = 64 * 1024;

/// A text whose every part tells whose it is: one line cannot hold another's.
fn payload(thread: usize, number: usize) -> String {
    let mut random = fastrand::Rng::with_seed((thread * LINES_EACH + number) as u64);
    // Short ones are as common as long ones are in bytes.
    let bytes = 1 << random.u32(0..=LONGEST.ilog2());
    let letter = char::from(b'a' + u8::try_from(thread % 26).unwrap());
    letter.to_string().repeat(random.usize(bytes / 2..=bytes).max(1))
}

/// Which thread's which line this is, once nothing about it is wrong.
fn check(line: &str) -> (usize, usize) {
    assert!(line.len() < settings(LogFormat::Text).max_line_bytes, "{} bytes", line.len());
    let (_, rest) = line.split_once("INFO test: ").unwrap_or_else(|| panic!("torn: {line:?}"));
    let mut parts = rest.split(' ');
    let mut number = || parts.next().unwrap().parse::<usize>().unwrap();
    let (thread, number) = (number(), number());
    let (_, text) = rest.split_once(": ").unwrap();
    let expected = payload(thread, number);
    let (kept, cut) = text.split_once("…[+").unwrap_or((text, "0 bytes]"));
    let cut: usize = cut.strip_suffix(" bytes]").unwrap().parse().unwrap();
    assert!(expected.starts_with(kept), "interleaved: {line:?}");
    assert_eq!(kept.len() + cut, expected.len());
    (thread, number)
}

#[test]
fn no_line_of_64_threads_is_torn_or_interleaved_or_lost_unseen() {
    let (_layer, lines, reader) = piped(&settings(LogFormat::Text));
    let reader = thread::spawn(move || {
        let mut last_of = BTreeMap::new();
        let mut read = 0_u64;
        for line in BufReader::new(reader).lines() {
            let line = line.unwrap();
            if line.contains(" WARN spanline: dropped ") {
                continue;
            }
            let (thread, number) = check(&line);
            let last = last_of.insert(thread, number);
            assert!(last < Some(number), "thread {thread}: {number} after {last:?}");
            read += 1;
        }
        read
    });
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let lines = &lines;
            scope.spawn(move || {
                for number in 0..LINES_EACH {
                    let message = format!("{thread} {number} : {}", payload(thread, number));
                    emit(lines, Priority::Normal, &message);
                }
            });
        }
    });
    assert!(lines.shutdown(soon()));
    let ledger = lines.ledger();
    assert_eq!(ledger.emitted, (THREADS * LINES_EACH) as u64);
    assert_eq!(ledger.queued, 0);
    assert_exact(ledger);
    assert_eq!(reader.join().unwrap(), ledger.written);
}

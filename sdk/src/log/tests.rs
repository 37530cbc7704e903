//! The log path as a whole: from an event to the bytes that a reader sees.

mod accounts;
mod crowd;
mod faults;

use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracing::Level;

use super::output::{Output, Stream};
use super::*;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Waits until something holds; says what it saw last if that never happens.
fn eventually<T: std::fmt::Debug>(look: impl Fn() -> T, holds: impl Fn(&T) -> bool) -> T {
    let deadline = soon();
    loop {
        let seen = look();
        if holds(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "still {seen:?}");
        thread::yield_now();
    }
}

fn settings(format: LogFormat) -> LogSettings {
    let mut settings = LogSettings::new("api-test");
    settings.format = format;
    settings
}

/// The log path with a real pipe as its output.
fn piped(settings: &LogSettings) -> (LineLayer, Lines, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    let (layer, lines) = on(settings, writer);
    (layer, lines, reader)
}

fn on(settings: &LogSettings, writer: PipeWriter) -> (LineLayer, Lines) {
    start_with_output(settings, Box::new(Stream(OwnedFd::from(writer)))).unwrap()
}

/// Emits a line as a plain event would, without any subscriber.
fn emit(lines: &Lines, priority: Priority, message: &str) {
    lines.emit(false, priority, |fields| {
        fields.set_message(format_args!("{message}"));
        let level = if priority == Priority::High { Level::WARN } else { Level::INFO };
        Origin { level, target: "test", file: None, line: None, ids: None }
    });
}

/// The same, but the pipe is full from the beginning, of empty lines: until somebody reads, nothing
/// is written.
fn blocked(settings: &LogSettings) -> (Lines, PipeReader) {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'\n'; 4_096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (on(settings, writer).1, reader)
}

/// Emits 1,000-byte lines until the queue refuses one.
fn fill_up(lines: &Lines) {
    let full = lines.ledger().dropped.queue_full + 1;
    let deadline = soon();
    while lines.ledger().dropped.queue_full < full {
        emit(lines, Priority::Normal, &"x".repeat(1_000));
        assert!(Instant::now() < deadline, "never full: {:?}", lines.ledger());
    }
}

/// Reads to the end on a thread of its own.
fn collect(mut reader: PipeReader) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    })
}

fn assert_exact(ledger: LineLedger) {
    let accounted = ledger.written + ledger.queued + ledger.dropped.total();
    assert_eq!(ledger.emitted, accounted, "{ledger:?}");
}

/// An output in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    /// Every line so far.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line: {text:?}");
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

impl Output for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
}

fn in_memory(settings: &LogSettings) -> (LineLayer, Lines, Memory) {
    let memory = Memory::default();
    let (layer, lines) = start_with_output(settings, Box::new(memory.clone())).unwrap();
    (layer, lines, memory)
}

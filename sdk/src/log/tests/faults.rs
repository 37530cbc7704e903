//! Outputs that refuse: the reader is gone, the disk is full, the pipe does not block.

use std::fs::OpenOptions;

use super::*;

#[test]
fn a_reader_that_is_gone_costs_only_the_lines_it_would_have_read() {
    let (_layer, lines, reader) = piped(&settings(LogFormat::Text));
    drop(reader);
    for _ in 0..3 {
        emit(&lines, Priority::Normal, "nobody reads this");
        assert!(lines.flush(soon()));
    }
    let ledger = lines.ledger();
    assert_eq!((ledger.emitted, ledger.written, ledger.dropped.io_error), (3, 0, 3));
    assert!(lines.shutdown(soon()), "a dead pipe must not hold up the end");
    assert_exact(lines.ledger());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_only_the_lines_that_it_refuses() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Box::new(Stream(full.into()));
    let (_layer, lines) = start_with_output(&settings(LogFormat::Json), output).unwrap();
    for _ in 0..100 {
        emit(&lines, Priority::Normal, "no space left");
    }
    assert!(lines.shutdown(soon()));
    let ledger = lines.ledger();
    assert_eq!((ledger.written, ledger.dropped.io_error), (0, 100));
    assert_exact(ledger);
}

/// A terminal whose other end is gone answers with EIO.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_was_closed_costs_only_the_lines_it_would_have_shown() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NOCTTY;
    let terminal = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap();
    let (_layer, lines) =
        start_with_output(&settings(LogFormat::Text), Box::new(Stream(terminal))).unwrap();
    emit(&lines, Priority::Normal, "shown");
    assert!(lines.flush(soon()));
    drop(controller);
    emit(&lines, Priority::Normal, "shown to nobody");
    assert!(lines.shutdown(soon()));
    let ledger = lines.ledger();
    assert_eq!((ledger.written, ledger.dropped.io_error), (1, 1));
    assert_exact(ledger);
}

/// Takes half of a line, then fails; takes everything later.
struct BreaksOnce {
    memory: Memory,
    is_broken: bool,
}

impl Output for BreaksOnce {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.0.lock().unwrap().is_empty() {
            return self.memory.write(&bytes[..bytes.len() / 2]);
        }
        if std::mem::take(&mut self.is_broken) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.memory.write(bytes)
    }
}

#[test]
fn a_line_that_an_error_tears_is_counted_and_does_not_swallow_the_next() {
    let memory = Memory::default();
    let output = Box::new(BreaksOnce { memory: memory.clone(), is_broken: true });
    let (_layer, lines) = start_with_output(&settings(LogFormat::Text), output).unwrap();
    emit(&lines, Priority::Normal, "torn");
    assert!(lines.flush(soon()));
    emit(&lines, Priority::Normal, "whole");
    assert!(lines.shutdown(soon()));
    let ledger = lines.ledger();
    assert_eq!((ledger.written, ledger.dropped.io_error), (1, 1));
    let seen = memory.lines();
    assert!(seen[1].ends_with("INFO test: whole"), "{seen:?}");
    assert!(seen[2].ends_with(" dropped 1 log line io_error=1"), "{seen:?}");
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_pipe_that_does_not_block_loses_nothing_to_a_slow_reader() {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let (_layer, lines) = on(&settings(LogFormat::Text), writer);
    for number in 0..1_000 {
        emit(&lines, Priority::Normal, &format!("{}{number}.", "x".repeat(1_000)));
    }
    // More than the pipe holds, and nobody has read yet.
    assert!(!lines.flush(Instant::now() + Duration::from_millis(10)));
    let read = collect(reader);
    assert!(lines.shutdown(soon()));
    let text = read.join().unwrap();
    assert_eq!(text.lines().count(), 1_000);
    for (number, line) in text.lines().enumerate() {
        assert!(line.ends_with(&format!("x{number}.")), "{line}");
    }
    assert_eq!(lines.ledger().dropped.total(), 0);
}

/// Panics at the first write.
struct Explodes;

impl Output for Explodes {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        panic!("this output is broken, as the test wants it")
    }
}

#[test]
fn a_writer_that_dies_holds_up_nobody() {
    let (_layer, lines) =
        start_with_output(&settings(LogFormat::Text), Box::new(Explodes)).unwrap();
    emit(&lines, Priority::Normal, "into the void");
    assert!(lines.shutdown(soon()));
    emit(&lines, Priority::Normal, "after the end");
    assert!(lines.flush(soon()));
    let ledger = lines.ledger();
    assert_eq!((ledger.written, ledger.queued), (0, 0), "{ledger:?}");
    assert_exact(ledger);
}

//! A reader that stops: what is lost is counted, and nobody waits for it.

use super::*;

fn small_queue() -> LogSettings {
    let mut settings = settings(LogFormat::Text);
    settings.queue_bytes = 256 * 1024;
    settings.reserved_bytes = 64 * 1024;
    settings
}

#[test]
fn a_blocked_reader_costs_lines_that_are_counted_and_told_of_when_it_is_back() {
    let (lines, reader) = blocked(&small_queue());
    fill_up(&lines);
    let blocked = lines.ledger();
    assert_exact(blocked);
    assert_eq!((blocked.written, blocked.dropped.queue_full), (0, 1));
    for _ in 0..99 {
        emit(&lines, Priority::Normal, &"x".repeat(1_000));
    }
    let blocked = lines.ledger();
    assert_exact(blocked);
    assert_eq!((blocked.written, blocked.dropped.queue_full), (0, 100));

    let read = collect(reader);
    assert!(lines.flush(soon()), "{:?}", lines.ledger());
    let flushed = lines.ledger();
    assert_exact(flushed);
    assert_eq!((flushed.queued, flushed.dropped), (0, blocked.dropped));

    assert!(lines.shutdown(soon()));
    let text = read.join().unwrap();
    let seen = text.lines().filter(|line| !line.is_empty());
    let (notices, own): (Vec<_>, Vec<_>) = seen.partition(|line| line.contains("dropped "));
    assert_eq!(own.len() as u64, flushed.written);
    let lost = blocked.dropped.queue_full;
    assert_eq!(notices.len(), 1, "{notices:?}");
    let expected = format!(" WARN spanline: dropped {lost} log lines queue_full={lost}");
    assert!(notices[0].ends_with(&expected), "{notices:?}");
}

#[test]
fn drops_are_told_of_though_nobody_logs_any_more() {
    let (_layer, lines, mut reader) = piped(&small_queue());
    for _ in 0..2 {
        // The second round's notice is due a second after the first's: no line comes to wake it.
        fill_up(&lines);
        let mut text = Vec::new();
        let mut buffer = [0; 64 * 1024];
        while !String::from_utf8_lossy(&text).contains("dropped ") {
            let read = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..read]);
        }
    }
    assert_exact(lines.ledger());
}

#[test]
fn the_reserve_is_for_warn_and_above() {
    let (lines, _reader) = blocked(&small_queue());
    fill_up(&lines);
    let full = lines.ledger();
    emit(&lines, Priority::Normal, &"x".repeat(1_000));
    assert_eq!(lines.ledger().dropped.queue_full, full.dropped.queue_full + 1);

    for _ in 0..50 {
        emit(&lines, Priority::High, &"y".repeat(1_000));
    }
    let reserved = lines.ledger();
    assert_eq!(reserved.queued, full.queued + 50, "{reserved:?}");
    for _ in 0..50 {
        emit(&lines, Priority::High, &"y".repeat(1_000));
    }
    let ledger = lines.ledger();
    assert!(ledger.dropped.queue_full > reserved.dropped.queue_full, "the reserve has no end");
    assert_exact(ledger);
}

#[test]
fn flush_and_shutdown_keep_their_deadlines_when_nobody_reads() {
    let (lines, reader) = blocked(&small_queue());
    fill_up(&lines);
    let begun = Instant::now();
    assert!(!lines.flush(begun + Duration::from_millis(20)));
    assert!(!lines.shutdown(begun + Duration::from_millis(40)));
    assert!(begun.elapsed() < PATIENCE, "hung for {:?}", begun.elapsed());

    // The account is closed: what waited is dropped, and what the writer has in its hands.
    let left_behind = lines.ledger();
    assert!(left_behind.dropped.shutdown > 0, "{left_behind:?}");
    assert_eq!((left_behind.written, left_behind.queued), (0, 0));
    assert_exact(left_behind);
    emit(&lines, Priority::High, "too late");
    let late = lines.ledger();
    assert_eq!(late.dropped.shutdown, left_behind.dropped.shutdown + 1);
    assert_exact(late);

    // The reader comes back after all, and gets what the writer had in its hands.
    let read = collect(reader);
    assert!(lines.shutdown(soon()));
    let text = read.join().unwrap();
    let own = text.lines().filter(|line| line.contains("xxx")).count() as u64;
    let ended = lines.ledger();
    assert!(own > 0);
    assert_eq!((ended.written, ended.queued), (own, 0));
    assert_exact(ended);
}

#[test]
fn shutdown_writes_all_that_waits_and_may_be_called_again() {
    let (_layer, lines, reader) = piped(&settings(LogFormat::Text));
    let read = collect(reader);
    for number in 0..1_000 {
        emit(&lines, Priority::Normal, &format!("line {number}."));
    }
    assert!(lines.shutdown(soon()) && lines.shutdown(soon()) && lines.flush(soon()));
    let text = read.join().unwrap();
    for (number, line) in text.lines().enumerate() {
        assert!(line.ends_with(&format!("line {number}.")), "{line}");
    }
    let ledger = lines.ledger();
    assert_eq!((ledger.emitted, ledger.written), (1_000, 1_000));
    assert_eq!(text.lines().count(), 1_000);
}

#[test]
fn a_line_alone_arrives_without_a_flush() {
    let (_layer, lines, reader) = piped(&settings(LogFormat::Text));
    let mut reader = io::BufReader::new(reader);
    for number in 0..3 {
        emit(&lines, Priority::Normal, &format!("line {number}."));
        let mut line = String::new();
        io::BufRead::read_line(&mut reader, &mut line).unwrap();
        assert!(line.ends_with(&format!("line {number}.\n")), "{line}");
    }
}

#[test]
fn a_line_that_there_is_no_room_for_is_not_even_made_until_there_is_room_again() {
    let (lines, reader) = blocked(&small_queue());
    let is_made = |priority| {
        let mut is_made = false;
        lines.emit(false, priority, |_| {
            is_made = true;
            Origin {
                level: Level::INFO,
                target: "test",
                file: None,
                line: None,
                ids: None,
                is_panic: false,
            }
        });
        is_made
    };
    assert!(is_made(Priority::Normal));
    fill_up(&lines);
    let full = lines.ledger();
    assert!(!is_made(Priority::Normal));
    assert_eq!(lines.ledger().dropped.queue_full, full.dropped.queue_full + 1);
    assert!(is_made(Priority::High), "the reserve is empty");
    assert_exact(lines.ledger());

    let read = collect(reader);
    assert!(lines.flush(soon()), "{:?}", lines.ledger());
    assert!(is_made(Priority::Normal));
    fill_up(&lines);
    assert!(lines.shutdown(soon()));
    let closed = lines.ledger();
    assert!(is_made(Priority::Normal));
    assert_eq!(lines.ledger().dropped.shutdown, closed.dropped.shutdown + 1);
    assert_exact(lines.ledger());
    read.join().unwrap();
}

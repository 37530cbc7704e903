//! The one thread that waits for the output, so that no one else has to.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::LineDrops;
use super::output::Output;
use super::ring::{Chunk, Next, Ring};

/// When no more lines were lost for so long, the reader is back. It is said no more often than this either.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// While a reader stays too slow, it is said this often.
const NOTICE_INTERVAL: Duration = Duration::from_secs(60);

/// Makes the line that says how many others were lost.
pub(crate) type NoticeLine = Box<dyn Fn(LineDrops) -> Vec<u8> + Send>;

/// Starts the thread.
///
/// # Errors
///
/// The system has no thread for us.
pub(crate) fn spawn(
    ring: Arc<Ring>,
    output: Box<dyn Output>,
    notice_line: NoticeLine,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("spanline-log".to_owned()).spawn(move || {
        let _gone = TellsWhenGone(Arc::clone(&ring));
        let mut writer = Writer { output, is_torn: false };
        let mut notices = Notices::new(notice_line);
        let mut wake_at = None;
        loop {
            let is_taken = match ring.take(wake_at) {
                Next::Lines(chunk) => write_chunk(&ring, &mut writer, chunk),
                Next::Idle => true,
                Next::Closed => break,
            };
            let (drops, is_empty) = ring.drops();
            // To an output that has just refused lines it is no use to speak of them.
            wake_at = notices.due_at(drops, is_empty).filter(|_| is_taken);
            if wake_at.is_some_and(|at| at <= Instant::now()) {
                notices.tell(drops, &mut writer);
                wake_at = None;
            }
            ring.linger();
        }
        let (drops, _) = ring.drops();
        if drops != notices.told {
            notices.tell(drops, &mut writer);
        }
    })
}

/// Whether the output has taken all of it.
fn write_chunk(ring: &Ring, writer: &mut Writer, chunk: Chunk) -> bool {
    let written = writer.write_lines(&chunk.bytes);
    let is_whole = written == chunk.lines;
    ring.settle(chunk, written);
    is_whole
}

struct Writer {
    output: Box<dyn Output>,
    /// The output's last line has no end: an error came in its middle.
    is_torn: bool,
}

impl Writer {
    /// Writes whole lines; tells how many the system has taken whole.
    fn write_lines(&mut self, lines: &[u8]) -> u64 {
        self.output.begin(lines.len());
        if self.is_torn {
            if self.output.write(b"\n").is_err() {
                return 0;
            }
            self.is_torn = false;
        }
        let mut written_bytes = 0;
        while let Some(rest) = lines.get(written_bytes..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(bytes) => written_bytes += bytes,
                Err(_) => break,
            }
        }
        let written = &lines[..written_bytes.min(lines.len())];
        self.is_torn = written.last().is_some_and(|byte| *byte != b'\n');
        written.iter().filter(|byte| **byte == b'\n').count() as u64
    }
}

/// Says in one line how many lines were lost, when there is someone to read it again.
struct Notices {
    notice_line: NoticeLine,
    /// The drops that were already told.
    told: LineDrops,
    /// When that was.
    told_at: Option<Instant>,
    /// When drops that are not told yet were first seen.
    untold_since: Option<Instant>,
    /// The drops at the last look, and when they last became more.
    seen: LineDrops,
    seen_at: Instant,
}

impl Notices {
    fn new(notice_line: NoticeLine) -> Self {
        let none = LineDrops::default();
        let seen_at = Instant::now();
        Self { notice_line, told: none, told_at: None, untold_since: None, seen: none, seen_at }
    }

    /// When these drops are to be told, if they are not told yet.
    fn due_at(&mut self, drops: LineDrops, is_empty: bool) -> Option<Instant> {
        if drops == self.told {
            return None;
        }
        let now = Instant::now();
        let untold_since = *self.untold_since.get_or_insert(now);
        if drops != self.seen {
            (self.seen, self.seen_at) = (drops, now);
        }
        // While the queue is not empty, more drops are likely to come: wait for the end of it, but
        // not for ever.
        let is_over_at = if is_empty { now } else { self.seen_at + QUIET_AFTER };
        let enough = is_over_at.min(untold_since + NOTICE_INTERVAL);
        let polite = self.told_at.map_or(enough, |told_at| told_at + QUIET_AFTER);
        Some(enough.max(polite))
    }

    fn tell(&mut self, drops: LineDrops, writer: &mut Writer) {
        let line = (self.notice_line)(drops.since(&self.told));
        if writer.write_lines(&line) > 0 {
            self.told = drops;
            self.told_at = Some(Instant::now());
            self.untold_since = None;
        }
    }
}

/// Also when the thread panics, nobody may wait for it.
struct TellsWhenGone(Arc<Ring>);

impl Drop for TellsWhenGone {
    fn drop(&mut self) {
        self.0.writer_is_gone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(queue_full: u64) -> LineDrops {
        LineDrops { queue_full, ..LineDrops::default() }
    }

    /// How long it takes from now until these drops are told.
    fn wait_until_due(notices: &mut Notices, drops: LineDrops, is_empty: bool) -> Duration {
        let due = notices.due_at(drops, is_empty).unwrap();
        due.saturating_duration_since(Instant::now())
    }

    #[test]
    fn drops_are_told_at_once_when_the_queue_is_empty_and_soon_when_they_have_ended() {
        let mut notices = Notices::new(Box::new(|_| Vec::new()));
        assert_eq!(notices.due_at(LineDrops::default(), true), None);
        let quiet = wait_until_due(&mut notices, lost(1), false);
        assert!(quiet <= QUIET_AFTER && quiet > QUIET_AFTER / 2, "{quiet:?}");
        assert_eq!(wait_until_due(&mut notices, lost(1), true), Duration::ZERO);
    }

    #[test]
    fn a_reader_that_stays_too_slow_is_told_of_once_a_minute() {
        let mut notices = Notices::new(Box::new(|_| Vec::new()));
        let long_ago = Instant::now().checked_sub(NOTICE_INTERVAL).unwrap();
        assert!(notices.due_at(lost(1), false).is_some());
        // Ever more of them: it is not over.
        assert!(wait_until_due(&mut notices, lost(2), false) > QUIET_AFTER / 2);
        notices.untold_since = Some(long_ago);
        assert_eq!(wait_until_due(&mut notices, lost(3), false), Duration::ZERO);
    }
}

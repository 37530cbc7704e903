//! The one thread that waits for the output, so that no one else has to.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::LineDrops;
use super::output::Output;
use super::ring::{Chunk, Next, Ring};

/// While lines are lost again and again, it is said this often.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// Makes the line that says how many others were lost.
pub(crate) type NoticeLine = Box<dyn Fn(LineDrops) -> String + Send>;

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
}

impl Notices {
    fn new(notice_line: NoticeLine) -> Self {
        Self { notice_line, told: LineDrops::default(), told_at: None, untold_since: None }
    }

    /// When these drops are to be told, if they are not told yet.
    fn due_at(&mut self, drops: LineDrops, is_empty: bool) -> Option<Instant> {
        if drops == self.told {
            return None;
        }
        let untold_since = *self.untold_since.get_or_insert_with(Instant::now);
        // While the queue is not empty, more drops are likely to come: wait for the end of it, but
        // not for ever.
        let enough = if is_empty { untold_since } else { untold_since + NOTICE_INTERVAL };
        let polite = self.told_at.map_or(enough, |told_at| told_at + NOTICE_INTERVAL);
        Some(enough.max(polite))
    }

    fn tell(&mut self, drops: LineDrops, writer: &mut Writer) {
        let line = (self.notice_line)(drops.since(&self.told));
        if writer.write_lines(line.as_bytes()) > 0 {
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

//! The one thread that waits for the output, so that no one else has to.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::ledger::LineDrops;
use super::output::Output;
use super::ring::{Chunk, Ring};

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
        let mut notices = Notices { notice_line, told: LineDrops::default(), told_at: None };
        while let Some(chunk) = ring.take() {
            write_chunk(&ring, &mut writer, &mut notices, chunk);
            ring.linger();
        }
        let (drops, _) = ring.drops();
        if drops != notices.told {
            notices.tell(drops, &mut writer);
        }
    })
}

fn write_chunk(ring: &Ring, writer: &mut Writer, notices: &mut Notices, chunk: Chunk) {
    let written = writer.write_lines(&chunk.bytes);
    let is_whole = written == chunk.lines;
    ring.settle(chunk, written);
    let (drops, is_empty) = ring.drops();
    if is_whole && drops != notices.told && notices.is_due(is_empty) {
        notices.tell(drops, writer);
    }
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
}

impl Notices {
    fn is_due(&self, is_empty: bool) -> bool {
        // While the queue is not empty, more drops are likely to come: wait for the end of it, but
        // not for ever.
        let pause = if is_empty { NOTICE_INTERVAL } else { 2 * NOTICE_INTERVAL };
        self.told_at.map_or(is_empty, |told_at| told_at.elapsed() >= pause)
    }

    fn tell(&mut self, drops: LineDrops, writer: &mut Writer) {
        let line = (self.notice_line)(drops.since(&self.told));
        if writer.write_lines(line.as_bytes()) > 0 {
            self.told = drops;
            self.told_at = Some(Instant::now());
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

//! One container run's log: its files, read one after the other as if they were one.
//!
//! The parser belongs to the log and not to a file, because a split line may begin in a file and end in its
//! successor.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;
use tracing::warn;

use super::discover::{Candidate, Stamp};
use super::file::{Chunk, LogFile};
use super::head::FileId;
use super::ledger::{Ledger, Position};
use super::lines::{Line, Lines};
use super::{Config, Parsed, Parser, Progress};
use crate::self_metrics::{Reason, Tail};

/// Most records that are handed on at a time.
const MAX_BATCH_RECORDS: usize = 1_000;
/// Most bytes of lines that are handed on at a time, unless a single line is longer.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// What a record takes beside its text.
const RECORD_OVERHEAD_BYTES: usize = 256;
/// A file that no listing has had for so long was moved away.
const MOVED_AWAY: Duration = Duration::from_secs(3);

/// The log of one container run.
pub(super) struct Log {
    path: PathBuf,
    parser: Box<dyn Parser>,
    pub(super) ledger: Ledger,
    /// Where reading goes on after the last step.
    reached: Position,
    /// Where to go on, until the file there has been found.
    resume: Option<Position>,
    file: Option<LogFile>,
    /// Those of the file that is open.
    lines: Option<Lines>,
    /// Where the next line begins.
    line_start: u64,
    /// The newest rotated file that has been read to its end.
    finished: Option<Stamp>,
    /// Where the oldest split line that has not ended began, and how many records came since.
    split: Option<Split>,
    /// Records that were delivered before a restart and are not handed on again.
    discard: u64,
    batch: Batch,
    /// Since when the file might be left for its successor.
    leaving_since: Option<Instant>,
    /// Since when no listing has had the file, which is not deleted.
    moved_since: Option<Instant>,
    /// A file that was moved away, and how far it was read.
    left: Option<(Arc<FileId>, u64)>,
    last_read: Instant,
    retry_at: Option<Instant>,
    done: bool,
}

struct Split {
    start: Position,
    records: u64,
    since: Instant,
}

/// Records to hand on, and where reading goes on after them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Parsed>,
    pub(super) size_bytes: usize,
    pub(super) after: Position,
}

/// What a step may use.
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) metrics: &'a Tail,
    /// The log's files, oldest first.
    pub(super) candidates: &'a [Candidate],
    /// Whether the container has been started again since.
    pub(super) superseded: bool,
    /// Whether another file may be opened.
    pub(super) may_open: bool,
}

impl Log {
    pub(super) fn new(path: PathBuf, parser: Box<dyn Parser>, position: Position) -> Self {
        Self {
            path,
            parser,
            ledger: Ledger::resumed(position.clone()),
            reached: position.clone(),
            resume: Some(position),
            file: None,
            lines: None,
            line_start: 0,
            finished: None,
            split: None,
            discard: 0,
            batch: Batch::default(),
            leaving_since: None,
            moved_since: None,
            left: None,
            last_read: Instant::now(),
            retry_at: None,
            done: false,
        }
    }

    /// Whether it holds a file open.
    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whether it reads this file.
    pub(super) fn holds(&self, candidate: &Candidate) -> bool {
        self.file.as_ref().is_some_and(|file| file.is(candidate))
    }

    /// The file that was moved away since the last call, and how far it was read.
    pub(super) fn take_left(&mut self) -> Option<(Arc<FileId>, u64)> {
        self.left.take()
    }

    /// Goes back to what has been delivered, with a parser that knows nothing yet.
    pub(super) fn read_again(&mut self, parser: Box<dyn Parser>, config: &Config) {
        let path = std::mem::take(&mut self.path);
        let ledger = std::mem::take(&mut self.ledger);
        let position = ledger.committed().clone();
        *self = Self::new(path, parser, position);
        self.ledger = ledger;
        self.retry_at = Some(Instant::now() + config.retry_interval);
    }

    /// Reads on by one chunk and appends what is to be handed on. `true` when there may be more.
    pub(super) fn step(&mut self, around: &Surroundings<'_>, out: &mut Vec<Batch>) -> bool {
        if self.done || self.retry_at.is_some_and(|at| at > Instant::now()) {
            return false;
        }
        self.retry_at = None;
        let more = self.try_step(around, out).unwrap_or_else(|error| {
            let reason = Reason { reason: "read" };
            around.metrics.file_errors.get_or_create(&reason).inc();
            warn!(log = %self.path.display(), %error, "cannot read a log; it is tried again");
            self.retry_at = Some(Instant::now() + around.config.retry_interval);
            false
        });
        self.cut_batch(out);
        if self.file.is_some() {
            self.reached = self.position();
        }
        more
    }

    /// Everything that the last step read is on its way.
    pub(super) fn note_progress(&mut self) {
        self.ledger.read_to(self.reached.clone());
    }

    fn try_step(&mut self, around: &Surroundings<'_>, out: &mut Vec<Batch>) -> io::Result<bool> {
        if self.file.is_none() && !(around.may_open && self.open(around)?) {
            return Ok(false);
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        match file.read() {
            Ok(Chunk::Data(data)) => {
                self.last_read = Instant::now();
                around.metrics.bytes_read.inc_by(data.len() as u64);
                self.feed(data, around, out);
                if around.config.hold_timeout.is_some() {
                    self.give_up_split(around.config, out);
                }
                Ok(true)
            }
            Ok(Chunk::Truncated) => {
                self.end_file(around, out);
                self.flush(out);
                if let Some(file) = &mut self.file {
                    file.rewind();
                }
                self.line_start = 0;
                Ok(true)
            }
            Ok(Chunk::End) => Ok(self.at_end(around, out)),
            Err(error) if file.is_gzipped() => {
                // It will not heal: what could be read of it has been read.
                around.metrics.file_errors.get_or_create(&Reason { reason: "gzip" }).inc();
                warn!(log = %self.path.display(), %error, "the rest of a gzipped log is unreadable");
                Ok(self.at_end(around, out))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file to go on with; `false` when there is none.
    fn open(&mut self, around: &Surroundings<'_>) -> io::Result<bool> {
        let candidates = around.candidates;
        if candidates.is_empty() {
            return Ok(false);
        }
        if let Some(position) = self.resume.clone() {
            self.finished.clone_from(&position.finished);
            if let Some(id) = &position.file {
                let head_bytes = around.config.fingerprint_bytes;
                let file = candidates.iter().find_map(|candidate| {
                    match LogFile::resume(candidate, id, position.offset, head_bytes) {
                        Ok(file) => file.map(Ok),
                        // A damaged one cannot be the one whose beginning is known.
                        Err(_) if candidate.gzipped => None,
                        Err(error) => Some(Err(error)),
                    }
                });
                if let Some(file) = file.transpose()? {
                    self.begin(file, position.offset, around.config);
                    self.discard = position.skip;
                    return Ok(true);
                }
            }
            // The file is gone, and with it all that were older: the kubelet deletes the oldest first.
            self.resume = None;
        }
        let Some(next) = candidates.iter().find(|candidate| self.is_unread(candidate)) else {
            return Ok(false);
        };
        match LogFile::open(next, around.config.fingerprint_bytes) {
            Ok(Some(file)) => {
                self.begin(file, 0, around.config);
                Ok(true)
            }
            // It was renamed or deleted since it was listed: the next listing tells.
            Ok(None) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn begin(&mut self, file: LogFile, offset: u64, config: &Config) {
        self.file = Some(file);
        self.resume = None;
        self.lines = Some(Lines::new(config.cutting.clone()));
        self.line_start = offset;
        (self.leaving_since, self.moved_since) = (None, None);
    }

    fn is_unread(&self, candidate: &Candidate) -> bool {
        let known = self.file.as_ref().is_some_and(|file| file.is(candidate));
        let finished = match (&candidate.stamp, &self.finished) {
            (Some(stamp), Some(finished)) => stamp <= finished,
            _ => false,
        };
        !known && !finished
    }

    /// Nothing more is in the file: leaves it when it has been rotated or deleted and all of it has been
    /// read. `true` when there is another one to go on with.
    fn at_end(&mut self, around: &Surroundings<'_>, out: &mut Vec<Batch>) -> bool {
        let Some(file) = &mut self.file else { return false };
        let listed = around.candidates.iter().find(|candidate| file.is(candidate));
        let is_written_to = listed.is_some_and(|candidate| candidate.stamp.is_none());
        if let Some(stamp) = listed.and_then(|candidate| candidate.stamp.clone()) {
            file.stamp = Some(stamp);
        }
        if listed.is_none() && !file.is_gzipped() {
            let is_deleted = file.is_deleted();
            let since = *self.moved_since.get_or_insert_with(Instant::now);
            if !is_deleted && since.elapsed() < MOVED_AWAY {
                // It was renamed while its folder was listed.
                return false;
            }
            if !is_deleted {
                // Where it is now it may match as well.
                self.left = Some((file.id().clone(), self.line_start));
            } else if file.stamp.is_none() {
                let gzipped = around.candidates.iter().find(|gz| file.was_gzipped_to(gz));
                file.stamp = gzipped.and_then(|candidate| candidate.stamp.clone());
            }
        }
        if listed.is_some() {
            self.moved_since = None;
        }
        let stamp = file.stamp.clone();
        let is_later = |candidate: &&Candidate| match (&candidate.stamp, &stamp) {
            (Some(candidate), Some(stamp)) => candidate > stamp,
            _ => true,
        };
        let unread = || around.candidates.iter().filter(|c| self.is_unread(c)).filter(is_later);
        let has_successor = !is_written_to && unread().next().is_some();
        // A file that was rotated before the last rotation is written to by nobody.
        let is_old = has_successor && unread().any(|candidate| candidate.stamp.is_some());
        let is_gzipped = self.file.as_ref().is_some_and(LogFile::is_gzipped);
        let is_gone = listed.is_none() && !is_gzipped;
        if !has_successor && !is_gone && !around.superseded {
            self.leaving_since = None;
            self.flush_line(around, out);
            self.give_up_split(around.config, out);
            return false;
        }
        let since = *self.leaving_since.get_or_insert_with(Instant::now);
        if !(is_old || is_gzipped) && since.elapsed() < around.config.rotation_grace {
            return false;
        }
        self.end_file(around, out);
        if !has_successor {
            // The container has ended, and with it a line that it had not ended.
            self.flush(out);
            self.done = !is_gone;
        }
        self.cut_batch(out);
        self.reached = self.position();
        self.finished = stamp.max(self.finished.take());
        self.file = None;
        has_successor
    }

    /// A line whose rest has not come in the configured time.
    fn flush_line(&mut self, around: &Surroundings<'_>, out: &mut Vec<Batch>) {
        let period = around.config.cutting.flush_after;
        if period.is_some_and(|period| self.last_read.elapsed() >= period) {
            self.end_file(around, out);
        }
    }

    fn give_up_split(&mut self, config: &Config, out: &mut Vec<Batch>) {
        let Some(split) = &self.split else { return };
        let is_over = match config.hold_timeout {
            Some(timeout) => split.since.elapsed() >= timeout,
            None => self.last_read.elapsed() >= config.join_timeout,
        };
        if is_over {
            self.flush(out);
        }
    }

    fn feed(&mut self, data: Bytes, around: &Surroundings<'_>, out: &mut Vec<Batch>) {
        let mut observed = observed_unix_nano();
        let Some(mut lines) = self.lines.take() else { return };
        lines.feed(data, |line| {
            self.line(line, observed, around, out);
            // A back end that knows a line by its time and its text must not take two that are alike for one.
            observed += 1;
        });
        self.lines = Some(lines);
    }

    /// The last line of a file may have no newline; nothing will be added to it any more.
    fn end_file(&mut self, around: &Surroundings<'_>, out: &mut Vec<Batch>) {
        while let Some(line) = self.lines.as_mut().and_then(Lines::finish) {
            self.line(line, observed_unix_nano(), around, out);
        }
    }

    fn line(&mut self, line: Line, observed: u64, around: &Surroundings<'_>, out: &mut Vec<Batch>) {
        let Line { text, file_bytes, cut } = line;
        around.metrics.lines_read.inc();
        if cut {
            around.metrics.lines_dropped.get_or_create(&Reason { reason: "line_cut" }).inc();
        }
        let start = self.line_start;
        self.line_start += file_bytes;
        let (before, size_bytes) = (self.batch.records.len(), text.len());
        let progress = self.parser.line(text, observed, &mut self.batch.records);
        self.batch.size_bytes += size_bytes;
        match progress {
            Progress::Complete => self.split = None,
            Progress::Pending if self.split.is_some() => {}
            Progress::Pending | Progress::Begun => self.split = Some(self.split_at(start)),
        }
        self.take_records(before, progress == Progress::Begun, out);
    }

    fn split_at(&self, offset: u64) -> Split {
        Split { start: self.position_at(offset), records: 0, since: Instant::now() }
    }

    fn flush(&mut self, out: &mut Vec<Batch>) {
        let before = self.batch.records.len();
        self.parser.flush(&mut self.batch.records);
        self.split = None;
        self.take_records(before, false, out);
    }

    /// Counts the records from `before` on, leaves out those that were delivered before a restart, and
    /// hands the batch on when it is full. Those that `precede_split` would not come again if reading began with the split line.
    fn take_records(&mut self, before: usize, precede_split: bool, out: &mut Vec<Batch>) {
        let new = self.batch.records.len() - before;
        if let Some(split) = &mut self.split
            && !precede_split
        {
            split.records += new as u64;
        }
        let again = usize::try_from(self.discard).map_or(new, |discard| discard.min(new));
        self.batch.records.drain(before..before + again);
        self.discard -= again as u64;
        self.batch.size_bytes += (new - again) * RECORD_OVERHEAD_BYTES;
        let is_full = self.batch.records.len() >= MAX_BATCH_RECORDS
            || self.batch.size_bytes >= MAX_BATCH_BYTES;
        if is_full {
            self.cut_batch(out);
        }
    }

    fn cut_batch(&mut self, out: &mut Vec<Batch>) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.records.is_empty() {
            out.push(Batch { after: self.position(), ..batch });
        }
    }

    /// Where to go on after a restart, if everything up to now has been delivered.
    fn position(&self) -> Position {
        match &self.split {
            // Until a replay has come as far as before, the records that it left out still count.
            Some(split) => Position { skip: split.records + self.discard, ..split.start.clone() },
            None => self.position_at(self.line_start),
        }
    }

    fn position_at(&self, offset: u64) -> Position {
        let file = self.file.as_ref().map(|file| file.id().clone());
        Position { finished: self.finished.clone(), file, offset, skip: 0 }
    }
}

fn observed_unix_nano() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

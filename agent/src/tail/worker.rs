//! Does the work in turn: look for files, read each log a little, take answers, write the checkpoint.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::warn;

use super::discover::{Candidate, Discovery, Listing, LogName};
use super::file::LogFile;
use super::head::FileId;
use super::ledger::Position;
use super::log::{Batch, Log, Surroundings};
use super::{Checkpoint, Config, Parsed, ParserFactory, Tailer, matching};
use crate::ack::{Ack, Outcome};
use crate::record::{Batch as Records, LogBatch};
use crate::self_metrics::{Reason, SelfMetrics};
use crate::sink::{Delivery, Sink};

/// How many chunks are read of one log before the others have their turn.
const CHUNKS_PER_TURN: usize = 4;
/// How many listings in a row must lack a log before it is forgotten: between a rename and its successor a
/// log may have no file.
const LISTINGS_UNTIL_FORGOTTEN: u32 = 20;
/// How many files are remembered that were moved away.
const MAX_LEFT: usize = 1_000;

pub(super) struct Worker {
    config: Config,
    sink: Arc<dyn Sink>,
    metrics: Arc<SelfMetrics>,
    parsers: ParserFactory,
    checkpoint: Option<Checkpoint>,
    discovery: Discovery,
    logs: BTreeMap<LogName, Followed>,
    /// Whether the logs of the next listing are read from their end: those of the very first.
    at_end: bool,
    /// Files that were moved away lately, and how far they were read.
    left: VecDeque<(Arc<FileId>, u64)>,
    next_id: u64,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer_to: mpsc::UnboundedSender<Answer>,
    stored: BTreeMap<LogName, Position>,
    store_at: Instant,
    halt: Halt,
}

struct Followed {
    /// Tells a log from an earlier one of the same name.
    id: u64,
    log: Log,
    missing_listings: u32,
}

struct Answer {
    name: Arc<LogName>,
    id: u64,
    sequence: u64,
    outcome: Outcome,
}

/// What a turn left behind.
enum Progress {
    /// Nothing to do until files change.
    Idle,
    /// There may be more to read.
    Busy,
    /// Nobody waits any longer.
    Over,
}

/// When to end.
struct Halt {
    stopping: watch::Receiver<bool>,
    /// Closed when nobody waits for the tailer any more.
    alive: watch::Receiver<()>,
    deadline: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        tailer: Tailer,
        stopping: watch::Receiver<bool>,
        alive: watch::Receiver<()>,
    ) -> Self {
        let Tailer { config, sink, metrics, parsers, checkpoint, positions } = tailer;
        // As many answers come as batches are on their way, and those the sink bounds.
        let (answer_to, answers) = mpsc::unbounded_channel();
        let mut worker = Self {
            discovery: Discovery::new(config.files.clone(), config.compression),
            stored: positions.clone(),
            store_at: Instant::now(),
            logs: BTreeMap::new(),
            left: VecDeque::new(),
            at_end: !config.from_beginning && positions.is_empty(),
            next_id: 0,
            halt: Halt { stopping, alive, deadline: None },
            config,
            sink,
            metrics,
            parsers,
            checkpoint,
            answers,
            answer_to,
        };
        for (name, position) in positions {
            if worker.is_excluded(&name) {
                continue;
            }
            worker.follow(&name, position);
        }
        worker
    }

    /// Works until it is stopped or abandoned.
    pub(super) async fn run(mut self) {
        loop {
            let is_last = self.halt.is_stopping();
            let progress = self.round().await;
            if self.halt.is_abandoned() {
                return;
            }
            self.store_when_due();
            match progress {
                Progress::Over => break,
                Progress::Idle if is_last => break,
                Progress::Idle => self.rest().await,
                Progress::Busy if self.halt.is_late(self.config.stop_timeout) => break,
                // A log that is written without end must not keep the answers waiting.
                Progress::Busy => tokio::task::yield_now().await,
            }
        }
        self.settle().await;
        self.store();
    }

    /// One turn of every log.
    async fn round(&mut self) -> Progress {
        let listing = self.list();
        let names: Vec<LogName> = self.logs.keys().cloned().collect();
        let mut progress = Progress::Idle;
        for name in names {
            match self.turn(&name, &listing).await {
                Progress::Idle => {}
                Progress::Busy => progress = Progress::Busy,
                Progress::Over => return Progress::Over,
            }
            self.take_answers();
        }
        let open = self.logs.values().filter(|followed| followed.log.is_open()).count();
        self.metrics.tail.files_open.set(i64::try_from(open).unwrap_or(i64::MAX));
        progress
    }

    fn list(&mut self) -> Listing {
        let listing = match self.discovery.list() {
            Ok(listing) => listing,
            Err(error) => {
                self.metrics.tail.file_errors.get_or_create(&Reason { reason: "list" }).inc();
                tracing::debug!(files = ?self.config.files, %error, "no files to list");
                return Listing::new();
            }
        };
        for (name, candidates) in &listing {
            if self.logs.contains_key(name) || self.is_excluded(name) {
                continue;
            }
            if let Some(position) = self.first_position(name, candidates) {
                self.follow(name, position);
            }
        }
        self.at_end = false;
        self.logs.retain(|name, followed| {
            let missing = !listing.contains_key(name) && !followed.log.is_open();
            followed.missing_listings = if missing { followed.missing_listings + 1 } else { 0 };
            !followed.log.ledger.is_settled()
                || followed.missing_listings < LISTINGS_UNTIL_FORGOTTEN
        });
        listing
    }

    fn is_excluded(&self, name: &LogName) -> bool {
        let path = self.config.path_of(name);
        let path = path.to_string_lossy();
        self.config.exclude.iter().any(|pattern| pattern.is_match(&path))
    }

    /// Where to begin with a log that is new; `None` when it is not to be followed, or not yet.
    fn first_position(&self, name: &LogName, candidates: &[Candidate]) -> Option<Position> {
        let head_bytes = self.config.fingerprint_bytes;
        let live = candidates.iter().find(|candidate| candidate.stamp.is_none());
        if let (Some(longest), Some(live)) = (self.config.exclude_older_than, live) {
            let modified = std::fs::metadata(&live.path).and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > longest)) {
                return None;
            }
        }
        if name.run.is_none() {
            // A rotated file of a log that has none under its own name at this moment.
            if matching::base_of(name).is_some_and(|base| self.logs.contains_key(&base)) {
                return None;
            }
            let held = |live| self.logs.values().any(|followed| followed.log.holds(live));
            if live.is_some_and(held) {
                return None;
            }
            // Known by another name: it was moved here.
            let committed = self.logs.values().map(|followed| followed.log.ledger.committed());
            let committed =
                committed.filter_map(|position| Some((position.file.as_ref()?, position.offset)));
            let known = self.left.iter().map(|(id, offset)| (id, *offset)).chain(committed);
            for (id, offset) in known {
                let Some(live) = live.filter(|live| live.inode == id.inode) else { continue };
                if let Ok(Some(_)) = LogFile::resume(live, id, offset, head_bytes) {
                    return Some(Position {
                        file: Some(Arc::clone(id)),
                        offset,
                        ..Position::default()
                    });
                }
            }
        }
        Some(if self.at_end {
            Position::end_of(candidates, head_bytes)
        } else {
            Position::default()
        })
    }

    fn follow(&mut self, name: &LogName, position: Position) {
        let path = self.config.path_of(name);
        let log = Log::new(path.clone(), (self.parsers)(&path), position);
        let followed = Followed { id: self.next_id, log, missing_listings: 0 };
        self.next_id += 1;
        self.logs.insert(name.clone(), followed);
    }

    async fn turn(&mut self, name: &LogName, listing: &Listing) -> Progress {
        let open = self.logs.values().filter(|followed| followed.log.is_open()).count();
        let Some(followed) = self.logs.get_mut(name) else { return Progress::Idle };
        let later =
            name.run.map(|run| LogName { run: Some(run.saturating_add(1)), ..name.clone() });
        let is_later = |(other, _): (&LogName, _)| other.container == name.container;
        let around = Surroundings {
            config: &self.config,
            metrics: &self.metrics.tail,
            candidates: listing.get(name).map_or(&[][..], Vec::as_slice),
            superseded: later
                .is_some_and(|later| listing.range(&later..).next().is_some_and(is_later)),
            may_open: open < self.config.max_open_files,
        };
        if !around.may_open && !followed.log.is_open() {
            self.metrics.tail.file_errors.get_or_create(&Reason { reason: "too_many" }).inc();
        }
        let mut batches = Vec::new();
        for _ in 0..CHUNKS_PER_TURN {
            let more = followed.log.step(&around, &mut batches);
            let id = followed.id;
            for batch in batches.drain(..) {
                let Batch { records, size_bytes, after } = batch;
                let sequence = followed.log.ledger.send(after);
                let batch = Records::Logs(by_resource(records));
                let ack = ack(&self.answer_to, Arc::new(name.clone()), id, sequence);
                let sending = self.sink.send(Delivery { batch, size_bytes, ack });
                tokio::select! {
                    biased;
                    () = sending => {}
                    () = self.halt.over(self.config.stop_timeout) => return Progress::Over,
                }
            }
            followed.log.note_progress();
            if let Some(left) = followed.log.take_left() {
                self.left.truncate(MAX_LEFT - 1);
                self.left.push_front(left);
            }
            if !more {
                return Progress::Idle;
            }
        }
        Progress::Busy
    }

    fn take_answers(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            self.take_answer(&answer);
        }
    }

    fn take_answer(&mut self, answer: &Answer) {
        let Answer { name, id, sequence, outcome } = answer;
        let Some(followed) = self.logs.get_mut(&**name).filter(|log| log.id == *id) else { return };
        if !followed.log.ledger.answer(*sequence, *outcome) {
            let path = self.config.path_of(name);
            warn!(log = %path.display(), "lines were not taken; they are read again");
            followed.log.read_again((self.parsers)(&path), &self.config);
        }
    }

    /// Waits for something to do.
    async fn rest(&mut self) {
        let answer = tokio::select! {
            biased;
            _ = self.halt.alive.changed() => None,
            _ = self.halt.stopping.wait_for(|stopping| *stopping) => None,
            answer = self.answers.recv() => answer,
            () = tokio::time::sleep(self.config.poll_interval) => None,
        };
        if let Some(answer) = answer {
            self.take_answer(&answer);
        }
    }

    /// Waits for the answers to what is on its way, within the time of a stop.
    async fn settle(&mut self) {
        self.take_answers();
        while self.logs.values().any(|followed| !followed.log.ledger.is_settled()) {
            tokio::select! {
                Some(answer) = self.answers.recv() => self.take_answer(&answer),
                () = self.halt.over(self.config.stop_timeout) => return,
            }
        }
    }

    fn store_when_due(&mut self) {
        if self.store_at <= Instant::now() {
            self.store();
            self.store_at = Instant::now() + self.config.checkpoint_interval;
        }
    }

    fn store(&mut self) {
        let Some(checkpoint) = &self.checkpoint else { return };
        let same = self.stored.len() == self.logs.len()
            && self.logs.iter().all(|(name, followed)| {
                self.stored.get(name) == Some(followed.log.ledger.committed())
            });
        if same {
            return;
        }
        let committed =
            || self.logs.iter().map(|(name, followed)| (name, followed.log.ledger.committed()));
        match checkpoint.store(committed()) {
            Ok(()) => {
                self.stored =
                    committed().map(|(name, position)| (name.clone(), position.clone())).collect();
            }
            Err(error) => warn!(
                dir = ?self.config.checkpoint_dir, %error,
                "the checkpoint cannot be written; after a restart lines would come twice",
            ),
        }
    }
}

/// Records in a row of one writer become one group.
fn by_resource(parsed: Vec<Parsed>) -> Vec<LogBatch> {
    let mut groups: Vec<LogBatch> = Vec::new();
    let count = parsed.len();
    for Parsed { resource, record } in parsed {
        match groups.last_mut() {
            Some(group) if Arc::ptr_eq(&group.resource, &resource) => group.records.push(record),
            _ => {
                let mut records = Vec::with_capacity(if groups.is_empty() { count } else { 1 });
                records.push(record);
                groups.push(LogBatch { resource, scope: None, records });
            }
        }
    }
    groups
}

fn ack(
    answer_to: &mpsc::UnboundedSender<Answer>,
    name: Arc<LogName>,
    id: u64,
    sequence: u64,
) -> Ack {
    let answer_to = answer_to.clone();
    Ack::new(move |outcome| {
        let name = Arc::clone(&name);
        // The worker may have ended: then the checkpoint is as it is.
        drop(answer_to.send(Answer { name, id, sequence, outcome }));
    })
}

impl Halt {
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    fn is_abandoned(&self) -> bool {
        self.alive.has_changed().is_err()
    }

    /// Whether the time of a stop is over.
    fn is_late(&mut self, stop_timeout: std::time::Duration) -> bool {
        self.is_stopping()
            && *self.deadline.get_or_insert_with(|| Instant::now() + stop_timeout) <= Instant::now()
    }

    /// Waits until the tailer is abandoned, or the time of its stop is over.
    async fn over(&mut self, stop_timeout: std::time::Duration) {
        let Self { stopping, alive, deadline } = self;
        let stopped = async {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                // Abandoned: the other branch sees it as well.
                return;
            }
            let at = *deadline.get_or_insert_with(|| Instant::now() + stop_timeout);
            tokio::time::sleep_until(at).await;
        };
        tokio::select! {
            _ = alive.changed() => {}
            () = stopped => {}
        }
    }
}

//! The writer thread: takes batches from a bounded channel and commits as many at once as wait.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Config;
use super::directory::{Directory, slice_bytes};
use super::error::{StoreError, WriteError, is_corruption};
use super::insert::{Interned, estimated_bytes, insert};
use super::insert_points::PointWriter;
use super::retain::{next_to_delete, next_to_expire};
use super::schema::{self, Opened};
use super::slice::{Slice, Slices};
use crate::record::Batch;
use crate::self_metrics::{Reason, SelfMetrics};

/// How many batches may wait; after that, writers wait.
const CHANNEL_BATCHES: usize = 64;

/// A transaction is closed when it holds this much, however much more is waiting.
const GROUP_BYTES: u64 = 4 * 1024 * 1024;

/// The cap is divided into this many slices, and so is the largest age.
const SLICES: u64 = 16;

/// The least and the longest time between two looks for what is too old.
const EXPIRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));

/// The way to the writer thread.
pub(super) struct WriterHandle {
    commands: mpsc::Sender<Command>,
    slice_bytes: u64,
}

enum Command {
    Write { batch: Arc<Batch>, bytes: u64, done: oneshot::Sender<Result<(), WriteError>> },
    Close { done: oneshot::Sender<()> },
}

/// The writer's state; lives on its thread.
pub(super) struct Writer {
    directory: Directory,
    slices: Arc<Slices>,
    metrics: Arc<SelfMetrics>,
    cluster: Option<String>,
    max_bytes: u64,
    max_age: Option<Duration>,
    slice_bytes: u64,
    newest: Newest,
    /// Full slices whose log could not be copied back yet, because somebody was reading.
    sealing: Vec<(Arc<Slice>, Connection)>,
    points: PointWriter,
}

struct Newest {
    slice: Arc<Slice>,
    /// When this process made it or took it up.
    since: Instant,
    connection: Connection,
    interned: Interned,
}

impl WriterHandle {
    pub(super) async fn write(&self, batch: Arc<Batch>) -> Result<(), WriteError> {
        if batch.items() == 0 {
            return Ok(());
        }
        let bytes = estimated_bytes(&batch);
        if bytes > self.slice_bytes {
            return Err(WriteError::TooLarge { batch_bytes: bytes, slice_bytes: self.slice_bytes });
        }
        let (done, answer) = oneshot::channel();
        let command = Command::Write { batch, bytes, done };
        self.commands.send(command).await.map_err(|_| WriteError::Closed)?;
        answer.await.unwrap_or(Err(WriteError::Closed))
    }

    pub(super) async fn close(&self) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            // An error says that the thread has ended, which is what is waited for.
            let _ = answer.await;
        }
    }
}

impl Writer {
    /// Takes up the folder's slices: all but the last are sealed, the last is written on.
    pub(super) fn open(
        config: Config,
        metrics: Arc<SelfMetrics>,
    ) -> Result<(Self, Arc<Slices>), StoreError> {
        let directory = Directory::open(&config.directory)?;
        let fault = |source| StoreError::Directory { path: config.directory.clone(), source };
        let numbers = directory.slice_numbers().map_err(fault)?;
        let slice_bytes = config.max_bytes / SLICES;
        let slices = Arc::new(Slices::default());
        let mut sealing = Vec::new();
        // The last slice, if it can be written on.
        let mut current = None;
        for number in &numbers {
            let path = directory.slice_path(*number);
            match take_up(*number, path.clone(), slice_bytes) {
                Ok(TakenUp { slice, connection, is_current }) => {
                    current = is_current.then_some(*number);
                    slices.push(Arc::clone(&slice));
                    sealing.push((slice, connection));
                }
                // Kept as it is: the program that wrote it will read it again.
                Err(Unreadable::Foreign(version)) => tracing::warn!(
                    file = %path.display(), version,
                    "a slice of the store has a version that this program does not know; it is left as it is"
                ),
                Err(Unreadable::Unfinished) => Directory::delete(&path).map_err(fault)?,
                Err(Unreadable::Failed(error)) if is_corruption(&error) => {
                    set_aside(&path, &error.to_string()).map_err(fault)?;
                }
                // A full disk, a missing right: the slice is well, and is not to be given up for it.
                Err(Unreadable::Failed(source)) => return Err(StoreError::Slice { path, source }),
            }
        }
        let newest = match sealing.pop_if(|(slice, _)| {
            current == Some(slice.number) && current.as_ref() == numbers.last()
        }) {
            Some((slice, connection)) => Newest::new(slice, connection),
            None => {
                let number = numbers.last().map_or(1, |last| last + 1);
                let newest = Newest::create(&directory, number, slice_bytes)?;
                slices.push(Arc::clone(&newest.slice));
                newest
            }
        };
        let mut writer = Self {
            directory,
            slices: Arc::clone(&slices),
            metrics,
            cluster: config.cluster,
            max_bytes: config.max_bytes,
            max_age: config.max_age,
            slice_bytes,
            newest,
            sealing,
            points: PointWriter::default(),
        };
        writer.seal_full_slices();
        // The cap may have become smaller since.
        if let Err(error) = writer.make_room(0) {
            writer.count(&error);
            tracing::warn!(%error, "the store could not delete its oldest slices at start");
        }
        writer.expire();
        writer.measure();
        Ok((writer, slices))
    }

    /// Moves the writer to its thread.
    pub(super) fn start(self) -> Result<WriterHandle, StoreError> {
        let (sender, commands) = mpsc::channel(CHANNEL_BATCHES);
        let slice_bytes = self.slice_bytes;
        let path = self.directory.path().to_owned();
        let fault = |source| StoreError::Directory { path, source };
        let start = || {
            // Only for its timer: the thread waits for commands, and for the time to look for what is too old.
            let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            let run = move || self.run(&timer, commands);
            thread::Builder::new().name("spanline-store".to_owned()).spawn(run)
        };
        start().map_err(fault)?;
        Ok(WriterHandle { commands: sender, slice_bytes })
    }

    fn run(mut self, timer: &Runtime, mut commands: mpsc::Receiver<Command>) {
        let mut closing = Vec::new();
        let group_bytes = GROUP_BYTES.min(self.slice_bytes / 4);
        while let Some(first) = self.next_command(timer, &mut commands) {
            let mut group = Vec::new();
            let mut waiting = 0;
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Write { batch, bytes, done } => {
                        waiting += bytes;
                        group.push((batch, done));
                    }
                    Command::Close { done } => {
                        commands.close();
                        closing.push(done);
                    }
                }
                next = if waiting < group_bytes { commands.try_recv().ok() } else { None };
            }
            let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let result = self.commit(&batches, waiting);
            self.points.settle(result.is_ok(), &self.metrics);
            if let Err(error) = &result {
                self.count(error);
                self.newest.interned.clear();
            }
            self.measure();
            for answer in answers {
                // Whoever asked may have gone away; the batch is stored all the same.
                let _ = answer.send(result.clone());
            }
        }
        drop(self);
        for done in closing {
            let _ = done.send(());
        }
    }

    /// Waits for the next command, and lets what is too old go meanwhile; `None` when there will be no more.
    fn next_command(
        &mut self,
        timer: &Runtime,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let Some(max_age) = self.max_age else { return commands.blocking_recv() };
        let pause = (max_age / SLICES as u32).clamp(EXPIRY_PAUSE.0, EXPIRY_PAUSE.1);
        loop {
            let next = timer.block_on(async { timeout(pause, commands.recv()).await });
            self.expire();
            if let Ok(command) = next {
                return command;
            }
        }
    }

    fn commit(&mut self, batches: &[Arc<Batch>], payload_bytes: u64) -> Result<(), WriteError> {
        if batches.is_empty() {
            return Ok(());
        }
        self.seal_full_slices();
        if slice_bytes(&self.newest.slice.path) >= self.slice_bytes {
            self.rotate()?;
        }
        self.make_room(payload_bytes)?;
        match self.newest.add(batches, self.cluster.as_deref(), &mut self.points) {
            Err(error) if is_corruption(&error) => {
                self.replace_damaged(&error)?;
                Err(error.into())
            }
            other => Ok(other?),
        }
    }

    /// Starts a new slice and lets the full one go.
    fn rotate(&mut self) -> Result<(), WriteError> {
        let number = self.newest.slice.number + 1;
        let next =
            Newest::create(&self.directory, number, self.slice_bytes).map_err(not_created)?;
        self.slices.push(Arc::clone(&next.slice));
        let full = std::mem::replace(&mut self.newest, next);
        self.sealing.push((full.slice, full.connection));
        self.seal_full_slices();
        Ok(())
    }

    fn make_room(&mut self, payload_bytes: u64) -> Result<(), WriteError> {
        loop {
            let newest = &self.newest.slice;
            let oldest = next_to_delete(
                &self.directory,
                &self.slices,
                newest,
                payload_bytes,
                self.max_bytes,
            )?;
            let Some(path) = oldest else { return Ok(()) };
            self.delete(&path)?;
        }
    }

    /// Lets go what is older than it may be, which a failure does not make urgent: the next look tries again.
    fn expire(&mut self) {
        let Some(max_age) = self.max_age else { return };
        if let Err(error) = self.try_expire(max_age, SystemTime::now()) {
            self.count(&error);
            tracing::warn!(%error, "the store could not delete what is older than max_age");
        }
    }

    fn try_expire(&mut self, max_age: Duration, now: SystemTime) -> Result<(), WriteError> {
        // A slice that little is written to would keep its oldest lines for as long as it takes to fill it.
        if self.newest.since.elapsed() >= max_age / SLICES as u32 && !self.newest.slice.is_empty() {
            self.rotate()?;
        }
        while let Some(path) = next_to_expire(&self.slices, &self.newest.slice, max_age, now)? {
            self.delete(&path)?;
        }
        Ok(())
    }

    fn delete(&mut self, path: &Path) -> Result<(), WriteError> {
        self.slices.remove(path);
        self.sealing.retain(|(slice, _)| slice.path != path);
        Directory::delete(path)?;
        self.metrics.store.slices_deleted.inc();
        Ok(())
    }

    /// Copies the logs of full slices back, so that their files stand alone.
    fn seal_full_slices(&mut self) {
        self.sealing.retain(|(slice, connection)| {
            let blocked = connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            match blocked {
                Ok(0) => {
                    slice.seal();
                    false
                }
                Ok(_) => true,
                Err(error) => {
                    if is_corruption(&error) {
                        slice.mark_damaged(&error);
                        return false;
                    }
                    true
                }
            }
        });
    }

    /// A slice that SQLite calls damaged takes no more; what is in it may still be read.
    fn replace_damaged(&mut self, error: &rusqlite::Error) -> Result<(), WriteError> {
        tracing::warn!(
            file = %self.newest.slice.path.display(), %error,
            "the newest slice of the store is damaged; a new one is started",
        );
        let number = self.newest.slice.number + 1;
        let next =
            Newest::create(&self.directory, number, self.slice_bytes).map_err(not_created)?;
        self.slices.push(Arc::clone(&next.slice));
        self.newest = next;
        Ok(())
    }

    fn count(&self, error: &WriteError) {
        let reason = Reason { reason: error.reason() };
        self.metrics.store.write_errors.get_or_create(&reason).inc();
    }

    fn measure(&self) {
        if let Ok(bytes) = self.directory.size_bytes() {
            self.metrics.store.size_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

impl Newest {
    fn new(slice: Arc<Slice>, connection: Connection) -> Self {
        Self { slice, since: Instant::now(), connection, interned: Interned::default() }
    }

    fn create(directory: &Directory, number: u64, slice_bytes: u64) -> Result<Self, StoreError> {
        let path = directory.slice_path(number);
        let connection = schema::create(&path, slice_bytes)
            .map_err(|source| StoreError::Slice { path: path.clone(), source })?;
        Ok(Self::new(Arc::new(Slice::new(number, path)), connection))
    }

    /// All of the batches, or none.
    fn add(
        &mut self,
        batches: &[Arc<Batch>],
        cluster: Option<&str>,
        points: &mut PointWriter,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for batch in batches {
            let interned = &mut self.interned;
            match &**batch {
                Batch::Metrics(batch) => {
                    points.insert(&transaction, &self.slice, interned, batch)?;
                }
                batch => insert(&transaction, &self.slice, interned, cluster, batch)?,
            }
        }
        transaction.commit()
    }
}

/// Opens a slice that an earlier process left, and learns which times it covers.
fn take_up(number: u64, path: PathBuf, slice_bytes: u64) -> Result<TakenUp, Unreadable> {
    let (connection, is_current) = match schema::open(&path, slice_bytes)? {
        Opened::Slice(connection) => (connection, true),
        Opened::Older(connection) => (connection, false),
        Opened::Unfinished => return Err(Unreadable::Unfinished),
        Opened::Foreign(version) => return Err(Unreadable::Foreign(version)),
    };
    let slice = Slice::new(number, path);
    let mut questions = vec![
        ("SELECT min(time), max(time) FROM line", &slice.lines),
        ("SELECT min(start), max(start) FROM span", &slice.spans),
    ];
    if is_current {
        questions.push(("SELECT min(time), max(time) FROM point", &slice.points));
    }
    for (sql, bounds) in questions {
        let (min, max): (Option<i64>, Option<i64>) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        min.into_iter().chain(max).for_each(|time| bounds.widen(time));
    }
    Ok(TakenUp { slice: Arc::new(slice), connection, is_current })
}

/// A slice that an earlier process left.
struct TakenUp {
    slice: Arc<Slice>,
    connection: Connection,
    /// Whether it can be written on.
    is_current: bool,
}

/// Why a slice is not taken up.
enum Unreadable {
    Unfinished,
    Foreign(i32),
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// A new slice fails for the same reasons as a write, and a full disk is to be called that.
fn not_created(error: StoreError) -> WriteError {
    match error {
        StoreError::Slice { source, .. } => source.into(),
        other => WriteError::Failed { message: other.to_string() },
    }
}

fn set_aside(path: &std::path::Path, reason: &str) -> std::io::Result<()> {
    let aside = Directory::set_aside(path)?;
    tracing::warn!(
        file = %path.display(), moved_to = %aside.display(), reason,
        "a slice of the store cannot be read and was set aside; the others are shown",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Body, LogBatch, LogRecord, Resource};

    fn lines(text: &str, count: usize) -> Arc<Batch> {
        let record = LogRecord {
            time_unix_nano: 1,
            observed_time_unix_nano: 1,
            severity_number: 9,
            severity_text: String::new(),
            body: Body::Text(text.to_owned().into()),
            attributes: Vec::new(),
            trace_id: None,
            span_id: None,
            flags: 0,
        };
        let records = vec![record; count];
        Arc::new(Batch::Logs(vec![LogBatch {
            resource: Arc::new(Resource::default()),
            scope: None,
            records,
        }]))
    }

    fn writer(directory: &std::path::Path) -> (Writer, Arc<SelfMetrics>) {
        let metrics = Arc::new(SelfMetrics::new());
        let mut config = Config::new(directory);
        config.max_bytes = 8 * 1024 * 1024;
        (Writer::open(config, Arc::clone(&metrics)).unwrap().0, metrics)
    }

    #[test]
    fn a_full_disk_is_a_retryable_error_and_writing_goes_on_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _metrics) = writer(folder.path());
        let batch = [lines(&"x".repeat(1000), 50)];
        let connection = &writer.newest.connection;
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        // What SQLite answers when the file cannot grow is what it answers on a full disk.
        connection.pragma_update(None, "max_page_count", pages).unwrap();
        let error = writer.commit(&batch, 60_000).unwrap_err();
        assert_eq!(error, WriteError::DiskFull);
        assert!(error.is_retryable());
        writer.newest.interned.clear();
        writer.newest.connection.pragma_update(None, "max_page_count", i32::MAX).unwrap();
        writer.commit(&batch, 60_000).unwrap();
        let count = "SELECT count(*) FROM line";
        let stored: i64 = writer.newest.connection.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(stored, 50);
    }

    #[test]
    fn a_full_slice_is_sealed_and_stands_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _metrics) = writer(folder.path());
        let full = Arc::clone(&writer.newest.slice);
        writer.commit(&[lines("first", 1)], 1000).unwrap();
        writer.rotate().unwrap();
        assert!(full.is_sealed());
        assert_eq!(super::super::directory::wal_bytes(&full.path), 0);
    }

    #[test]
    fn what_is_older_than_it_may_be_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, metrics) = writer(folder.path());
        let max_age = Duration::from_secs(3600);
        for text in ["old", "young", "newest"] {
            writer.commit(&[lines(text, 1)], 1000).unwrap();
            if text != "newest" {
                writer.rotate().unwrap();
            }
        }
        let paths: Vec<_> = writer.slices.snapshot().iter().map(|s| s.path.clone()).collect();
        let now = SystemTime::now();
        let written = |path: &Path, ago: u64| {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(now - Duration::from_secs(ago)).unwrap();
        };
        written(&paths[0], 3601);
        written(&paths[1], 3599);
        written(&paths[2], 9999);
        writer.try_expire(max_age, now).unwrap();
        let left: Vec<_> = writer.slices.snapshot().iter().map(|s| s.path.clone()).collect();
        assert_eq!(left, paths[1..], "the newest is written on, so it stays");
        assert!(!paths[0].exists());
        assert_eq!(metrics.store.slices_deleted.get(), 1);
    }

    #[test]
    fn a_slice_that_little_is_written_to_does_not_keep_its_lines_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, _metrics) = writer(folder.path());
        let first = writer.newest.slice.path.clone();
        writer.try_expire(Duration::ZERO, SystemTime::now()).unwrap();
        assert_eq!(writer.newest.slice.path, first, "an empty slice has nothing to let go");
        writer.commit(&[lines("a line", 1)], 1000).unwrap();
        writer.try_expire(Duration::ZERO, SystemTime::now() + Duration::from_secs(1)).unwrap();
        assert_ne!(writer.newest.slice.path, first);
        assert!(!first.exists());
    }
}

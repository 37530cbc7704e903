//! One container's log folder, and a sink that remembers what it was given.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's harness, of which each test uses its part"
)]

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use regex::Regex;
use spanline_agent::config::{Compression as Compressed, Filelog, Files, Receiver};
use spanline_agent::pod_logs;
use spanline_agent::record::{Batch, Body, LogRecord, Resource};
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::sink::{Delivery, Full, Sink};
use spanline_agent::tail::{Config, ParserFactory, Tailer};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(10);

/// A container entry of one whole line.
pub fn entry(text: &str) -> String {
    format!("2026-11-23T17:28:00.123456789Z stdout F {text}\n")
}

/// Waits until something is so.
pub async fn eventually(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("it is not so after the deadline");
}

pub struct Node {
    dir: TempDir,
    sink: Arc<Memory>,
    metrics: Arc<SelfMetrics>,
    exclude: Mutex<Vec<Regex>>,
    filelog: Mutex<Option<Filelog>>,
}

/// A tailer that runs.
pub struct Running {
    stop: watch::Sender<bool>,
    /// Gone when the tailer's thread has ended.
    worker: Weak<()>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Memory {
    texts: Mutex<Vec<String>>,
    records: Mutex<Vec<LogRecord>>,
    resource: Mutex<Arc<Resource>>,
    refusals: AtomicUsize,
    largest_batch: AtomicUsize,
}

impl Node {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Arc::new(SelfMetrics::new());
        let node = Self {
            dir,
            sink: Arc::default(),
            metrics,
            exclude: Mutex::default(),
            filelog: Mutex::default(),
        };
        fs::create_dir_all(node.path("")).unwrap();
        node
    }

    pub fn start(&self) -> Running {
        let filelog = self.filelog.lock().unwrap().clone();
        let config = Config {
            from_beginning: filelog.as_ref().is_none_or(|filelog| filelog.from_beginning),
            hold_timeout: filelog.as_ref().and_then(pod_logs::patience),
            files: match &filelog {
                Some(filelog) => filelog.files.clone(),
                None => Files::Pods(self.dir.path().join("pods")),
            },
            cutting: filelog.as_ref().map(|filelog| filelog.cutting.clone()).unwrap_or_default(),
            compression: filelog
                .as_ref()
                .map_or(Compressed::Rotated, |filelog| filelog.compression),
            exclude_older_than: filelog.as_ref().and_then(|filelog| filelog.exclude_older_than),
            fingerprint_bytes: filelog.as_ref().map_or(1_024, |filelog| filelog.fingerprint_bytes),
            max_open_files: filelog.as_ref().map_or(512, |filelog| filelog.max_open_files),
            exclude: match &filelog {
                Some(filelog) => filelog.exclude.clone(),
                None => self.exclude.lock().unwrap().clone(),
            },
            checkpoint_dir: Some(self.dir.path().join("state")),
            poll_interval: Duration::from_millis(2),
            rotation_grace: Duration::from_millis(20),
            retry_interval: Duration::from_millis(10),
            ..Config::default()
        };
        let sink = Arc::clone(&self.sink) as Arc<dyn Sink>;
        let parsers = match &filelog {
            Some(filelog) => pod_logs::parsers(filelog, &self.metrics),
            None => pod_logs::parser_factory(&self.metrics),
        };
        let alive = Arc::new(());
        let worker = Arc::downgrade(&alive);
        let parsers: ParserFactory = Arc::new(move |path| {
            let _alive = &alive;
            parsers(path)
        });
        let tailer = Tailer::new(config, sink, Arc::clone(&self.metrics), parsers).unwrap();
        let (stop, stopping) = watch::channel(false);
        Running { stop, worker, task: tokio::spawn(tailer.run(stopping)) }
    }

    /// What the receiver `filelog` is told beside its folder; for tailers that are started later.
    pub fn configure(&self, filelog: &str) {
        let dir = self.dir.path().display().to_string();
        let filelog = filelog.replace("DIR", &format!("{dir}/pods/shop_web_0a1b/app"));
        let include = match filelog.contains("include:") {
            true => String::new(),
            false => format!("    include: [{dir}/pods/*/*/*.log]\n"),
        };
        let yaml = format!(
            "receivers:\n  filelog:\n{include}{filelog}\nexporters: {{debug: {{}}}}\n\
             service: {{pipelines: {{logs: {{receivers: [filelog], exporters: [debug]}}}}}}\n"
        );
        let config = spanline_agent::config::Config::from_yaml(&yaml, "test", &HashMap::new())
            .unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        let Receiver::Filelog(filelog) = config.receivers[0].settings.clone() else {
            panic!("{config:?}")
        };
        *self.filelog.lock().unwrap() = Some(*filelog);
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("pods/shop_web_0a1b/app").join(file)
    }

    /// Leaves logs alone whose paths match; for tailers that are started later.
    pub fn exclude(&self, pattern: &str) {
        self.exclude.lock().unwrap().push(Regex::new(pattern).unwrap());
    }

    pub fn append(&self, file: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(file)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// As the kubelet does: into `.tmp`, then renamed, then the plain file goes.
    pub fn gzip(&self, file: &str) {
        let tmp = self.path(&format!("{file}.tmp"));
        let mut gzip = GzEncoder::new(fs::File::create(&tmp).unwrap(), Compression::fast());
        gzip.write_all(&fs::read(self.path(file)).unwrap()).unwrap();
        gzip.finish().unwrap();
        fs::rename(tmp, self.path(&format!("{file}.gz"))).unwrap();
        self.remove(file);
    }

    pub fn truncate(&self, file: &str) {
        OpenOptions::new().write(true).open(self.path(file)).unwrap().set_len(0).unwrap();
    }

    pub fn link(&self, to: &str, file: &str) {
        std::os::unix::fs::symlink(self.path(to), self.path(file)).unwrap();
    }

    /// As if nobody had written to it for so long.
    pub fn age(&self, file: &str, seconds: u64) {
        let at = std::time::SystemTime::now() - Duration::from_secs(seconds);
        OpenOptions::new().write(true).open(self.path(file)).unwrap().set_modified(at).unwrap();
    }

    /// Writes from the beginning of a file that stays the same one.
    pub fn overwrite(&self, file: &str, text: &str) {
        let mut file = OpenOptions::new().write(true).open(self.path(file)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    /// The next deliveries are lost.
    pub fn refuse_deliveries(&self, count: usize) {
        self.sink.refusals.store(count, Ordering::SeqCst);
    }

    pub fn texts(&self) -> Vec<String> {
        self.sink.texts.lock().unwrap().clone()
    }

    pub fn records(&self) -> Vec<LogRecord> {
        self.sink.records.lock().unwrap().clone()
    }

    pub fn resource(&self) -> Arc<Resource> {
        Arc::clone(&self.sink.resource.lock().unwrap())
    }

    pub fn largest_batch(&self) -> usize {
        self.sink.largest_batch.load(Ordering::SeqCst)
    }

    /// Whether the tailer has looked at the files that are there; it writes a checkpoint after that.
    pub fn has_checkpoint_of(&self, file: &str) -> bool {
        let checkpoint = fs::read_to_string(self.dir.path().join("state/tail.json"));
        checkpoint.is_ok_and(|text| text.contains(&format!("shop_web_0a1b/app/{file}\"")))
    }

    pub fn lines_read(&self) -> u64 {
        self.metrics.tail.lines_read.get()
    }
}

impl Running {
    pub async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task).await.expect("it stops in time").unwrap();
    }

    /// Ends it without its knowing: no checkpoint is written.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        // A killed process has no thread left that could still write a checkpoint.
        eventually(|| self.worker.strong_count() == 0).await;
    }
}

impl Sink for Memory {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let refused = |left: usize| left.checked_sub(1);
            if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refused).is_ok() {
                return delivery.ack.lost();
            }
            let Batch::Logs(batches) = delivery.batch else { panic!("a tailer sends logs") };
            for batch in batches {
                self.records.lock().unwrap().extend(batch.records.iter().cloned());
                self.largest_batch.fetch_max(batch.records.len(), Ordering::SeqCst);
                let texts = batch.records.into_iter().map(|record| match record.body {
                    Body::Text(text) => text.as_str().to_owned(),
                    Body::Value(value) => panic!("a tailed line is text: {value:?}"),
                });
                self.texts.lock().unwrap().extend(texts);
                *self.resource.lock().unwrap() = batch.resource;
            }
            delivery.ack.delivered();
        })
    }

    fn try_send(&self, _: Delivery) -> Result<(), Full> {
        panic!("a tailer waits until there is room")
    }
}

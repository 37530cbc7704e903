//! How many lines of a container's log the tailer hands on in a second of CPU time, from the file to the sink, by what is done with each.
//!
//! `cargo bench -p spanline-agent --bench tail` prints a table. Under `cargo test` each configuration reads a few lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench's setup")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spanline_agent::config::{Config, Receiver};
use spanline_agent::pod_logs;
use spanline_agent::record::Batch;
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::sink::{Delivery, Full, Sink};
use spanline_agent::tail::{self, Tailer};
use tokio::sync::watch;

const LINES: usize = 500_000;
const TRIED_LINES: usize = 200;
/// Of an entry, as the runtime writes it.
const LINE_BYTES: usize = 250;
const SEED: &str = concat!(
    "include_file_name: false\ninclude_file_path: true\n",
    include_str!("../../tests/fixtures/collector-config/seed-operators.yaml")
);

const CONFIGURATIONS: [(&str, &str); 4] = [
    (
        "embedded default: `container` and `spanline_parser`",
        "operators: [{type: container}, {type: spanline_parser}]",
    ),
    ("`container` alone", "include_file_path: true\noperators: [{type: container}]"),
    ("the eleven operators of the chart of 2023", SEED),
    ("`noop`", "operators: [{type: noop}]"),
];

/// Counts records and takes them all.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Sink for Counting {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let Batch::Logs(batches) = &delivery.batch else { panic!("a tailer sends logs") };
        let count = batches.iter().map(|batch| batch.records.len()).sum();
        self.0.fetch_add(count, Ordering::SeqCst);
        delivery.ack.delivered();
        Box::pin(std::future::ready(()))
    }

    fn try_send(&self, _: Delivery) -> Result<(), Full> {
        panic!("a tailer waits until there is room")
    }
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let lines = if is_bench { LINES } else { TRIED_LINES };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    println!(
        "| what is done with each line of {LINE_BYTES} bytes | lines per CPU second |\n| --- | --- |"
    );
    for (name, operators) in CONFIGURATIONS {
        let seconds = runtime.block_on(read(operators, lines));
        if is_bench {
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let rate = lines as f64 / seconds;
            println!("| {name} | {rate:.0} |");
        }
    }
}

/// CPU seconds of reading so many lines.
async fn read(operators: &str, lines: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("shop_web-1_0a1b2c3d-0000-0000-0000-000000000001/app");
    fs::create_dir_all(&folder).unwrap();
    write_log(&folder.join("0.log"), lines);
    let yaml = format!(
        "receivers:\n  filelog:\n    include: ['{}/*/*/*.log']\n    start_at: beginning\n    {}\nexporters: {{debug: {{}}}}\n\
         service: {{pipelines: {{logs: {{receivers: [filelog], exporters: [debug]}}}}}}\n",
        dir.path().display(),
        operators.replace('\n', "\n    "),
    );
    let config = Config::from_yaml(&yaml, "bench", &HashMap::new()).unwrap();
    let Receiver::Filelog(filelog) = &config.receivers[0].settings else { panic!("{config:?}") };
    let metrics = Arc::new(SelfMetrics::new());
    let sink = Arc::new(Counting::default());
    let settings = tail::Config {
        files: filelog.files.clone(),
        cutting: filelog.cutting.clone(),
        ..tail::Config::default()
    };
    let parsers = pod_logs::parsers(filelog, &metrics);
    let tailer =
        Tailer::new(settings, Arc::clone(&sink) as Arc<dyn Sink>, metrics, parsers).unwrap();
    let (stop, stopping) = watch::channel(false);
    let before = cpu_seconds();
    let running = tokio::spawn(tailer.run(stopping));
    while sink.0.load(Ordering::SeqCst) < lines {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = cpu_seconds() - before;
    stop.send_replace(true);
    running.await.unwrap();
    seconds
}

fn write_log(path: &Path, lines: usize) {
    let mut text = String::new();
    for n in 0..lines {
        let start = text.len();
        let _ = write!(
            text,
            "2026-11-23T17:28:00.{:09}Z stdout F [INFO] [trace_id={:032x} span_id={:016x}] added item {{\"sku\":{n},\"pad\":\"",
            n % 1_000_000_000,
            n + 1,
            n + 1,
        );
        let pad = LINE_BYTES.saturating_sub(text.len() - start + 3);
        text.extend(std::iter::repeat_n('x', pad));
        text.push_str("\"}\n");
    }
    fs::write(path, text).unwrap();
}

/// What this process has used.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks =
        |field: usize| fields.split_whitespace().nth(field).unwrap().parse::<f64>().unwrap();
    // Linux counts a hundred ticks to a second wherever it shows them.
    (ticks(11) + ticks(12)) / 100.0
}

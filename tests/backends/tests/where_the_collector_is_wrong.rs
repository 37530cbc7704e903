//! Where the agent does not do as the Collector: each row of `docs/collector-differences.md`, through both.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use spanline_backends::{Kind, Relay, Sink, program};
use spanline_tests::eventually;

/// One line each, in the runtime's words.
const FILE: &str = "shop_web_0a1b2c3d-0000-4000-8000-00000000000a/app/0.log";
/// Longer than the Collector waits for the rest of a line.
const AT_REST: Duration = Duration::from_secs(2);

/// What both made of the same file.
struct Made {
    ours: Vec<String>,
    collectors: Vec<String>,
}

#[tokio::test]
async fn the_parts_of_two_streams_are_not_joined_into_each_other() {
    let made = of_lines(&[
        b"2026-11-23T17:28:00.1Z stdout P out-1,",
        b"2026-11-23T17:28:00.2Z stderr P err-1,",
        b"2026-11-23T17:28:00.3Z stdout F out-2",
        b"2026-11-23T17:28:00.4Z stderr F err-2",
    ])
    .await;
    assert_eq!(made.ours, ["out-1,out-2", "err-1,err-2"]);
    assert_eq!(made.collectors, ["out-1,err-1,out-2", "err-2"]);
}

#[tokio::test]
async fn a_character_is_whole_though_the_runtime_cut_it() {
    let made = of_lines(&[
        b"2026-11-23T17:28:00.1Z stdout P caf\xc3",
        b"2026-11-23T17:28:00.2Z stdout F \xa9 au lait",
    ])
    .await;
    assert_eq!(made.ours, ["café au lait"]);
    assert_eq!(made.collectors, ["caf\u{fffd}\u{fffd} au lait"]);
}

#[tokio::test]
async fn words_stay_apart_though_the_runtime_cut_between_them() {
    let made = of_lines(&[
        b"2026-11-23T17:28:00.1Z stdout P one ",
        b"2026-11-23T17:28:00.2Z stdout F word",
    ])
    .await;
    assert_eq!(made.ours, ["one word"]);
    assert_eq!(made.collectors, ["oneword"]);
}

#[tokio::test]
async fn a_line_that_no_runtime_wrote_is_kept() {
    let made = of_lines(&[b"2026-11-23T17:28:00.1Z stdout F one", b"no runtime's"]).await;
    assert_eq!(made.ours, ["one", "no runtime's"]);
    assert_eq!(made.collectors, ["one"]);
}

#[tokio::test]
async fn a_line_is_sent_when_it_is_whole() {
    let half = b"2026-11-23T17:28:00.1Z stdout F one ha";
    let made = of_steps(&[half, b"lf\n"]).await;
    assert_eq!(made.ours, ["one half"]);
    assert_eq!(made.collectors, ["one ha"]);
}

#[tokio::test]
async fn files_that_begin_alike_are_both_read() {
    let line = format!("2026-11-23T17:28:00.1Z stdout F {}\n", "same beginning ".repeat(80));
    let mut made = Made { ours: Vec::new(), collectors: Vec::new() };
    for kind in [Kind::Agent(program!()), Kind::Collector] {
        let pods = tempfile::tempdir().unwrap();
        for pod in ["shop_a_0a", "shop_b_0b"] {
            append(pods.path(), &format!("{pod}/app/0.log"), line.as_bytes()).unwrap();
        }
        let texts = through(kind, pods.path(), &[]).await.unwrap();
        match kind {
            Kind::Agent(_) => made.ours = texts,
            Kind::Collector => made.collectors = texts,
        }
    }
    assert_eq!((made.ours.len(), made.collectors.len()), (2, 1));
}

async fn of_lines(lines: &[&[u8]]) -> Made {
    let mut file = lines.join(&b'\n');
    file.push(b'\n');
    of_steps(&[&file]).await
}

/// Each step is written when the one before is long at rest.
async fn of_steps(steps: &[&[u8]]) -> Made {
    let mut both = Vec::new();
    for kind in [Kind::Agent(program!()), Kind::Collector] {
        let pods = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let texts = through(kind, pods.path(), steps).await;
        both.push(texts.unwrap_or_else(|error| panic!("{error}")));
    }
    let collectors = both.pop().unwrap_or_default();
    Made { ours: both.pop().unwrap_or_default(), collectors }
}

/// The bodies that come out, with `steps` appended to a file one after the other.
async fn through(kind: Kind<'_>, pods: &Path, steps: &[&[u8]]) -> io::Result<Vec<String>> {
    let sink = Sink::start().await?;
    let config = format!(
        "receivers:\n  filelog:\n    include: ['{}/*/*/*.log']\n    start_at: beginning\n    \
         include_file_path: true\n    operators: [{{ type: container }}]\n\
         exporters:\n  otlp:\n    endpoint: {}\n    tls: {{ insecure: true }}\n\
         extensions:\n  health_check: {{ endpoint: '127.0.0.1:HEALTH_PORT' }}\n\
         service:\n  extensions: [health_check]\n  telemetry: {{ metrics: OWN }}\n  pipelines:\n    \
         logs: {{ receivers: [filelog], exporters: [otlp] }}\n",
        pods.display(),
        sink.address()
    );
    let metrics = match kind {
        Kind::Agent(_) => "{}",
        // Or it takes a port.
        Kind::Collector => "{ level: none }",
    };
    let mut relay = Relay::start(kind, &[config.replace("OWN", metrics)]).await?;
    for step in steps {
        append(pods, FILE, step)?;
        at_rest(&sink).await;
    }
    if steps.is_empty() {
        at_rest(&sink).await;
    }
    relay.stop().await;
    let text = |record: &serde_json::Value| {
        record["record"]["body"]["stringValue"].as_str().map(str::to_owned)
    };
    Ok(sink.records().iter().filter_map(text).collect())
}

fn append(pods: &Path, file: &str, bytes: &[u8]) -> io::Result<()> {
    let path = pods.join(file);
    fs::create_dir_all(path.parent().unwrap_or(pods))?;
    io::Write::write_all(&mut fs::File::options().create(true).append(true).open(path)?, bytes)
}

/// Waits until nothing more comes. That nothing comes cannot be waited for otherwise.
async fn at_rest(sink: &Sink) {
    let mut seen = (sink.len(), tokio::time::Instant::now());
    eventually("nothing more comes", async || {
        if sink.len() != seen.0 {
            seen = (sink.len(), tokio::time::Instant::now());
        }
        if seen.1.elapsed() >= AT_REST { Ok(()) } else { Err(format!("{} came", seen.0)) }
    })
    .await;
}

//! One corpus of pod logs through the real Collector and through the agent, on the same configuration: what an OTLP receiver and
//! what Loki then hold is the same, record for record and label for label.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use spanline_backends::compare::Comparison;
use spanline_backends::{
    Corpus, Entry, Extent, FOREIGN, Kind, Loki, Relay, Sink, configuration, free_port, program,
};
use spanline_tests::eventually;

const EXTENT: Extent = Extent { files: 36, lines_each: 300, without_lost: false };
/// Lines of a megabyte, and all of them at once.
const GENEROUS: [&str; 10] = [
    "-shard-streams.enabled=false",
    "-server.grpc-max-recv-msg-size-bytes=1073741824",
    "-server.grpc-max-send-msg-size-bytes=1073741824",
    "-server.http-write-timeout=2m",
    "-auth.enabled=true",
    "-distributor.max-line-size=4MB",
    "-distributor.ingestion-rate-limit-mb=1000",
    "-distributor.ingestion-burst-size-mb=1000",
    "-ingester.per-stream-rate-limit=1GB",
    "-ingester.per-stream-rate-limit-burst=1GB",
];
/// The one operator that does all of it, and what it finds as labels.
const CONTAINER: &str = "\
receivers:
  filelog:
    operators:
      - type: container
processors:
  resource:
    attributes:
      - { action: insert, key: loki.format, value: json }
      - { action: insert, key: loki.attribute.labels, value: log.iostream }
      - action: insert
        key: loki.resource.labels
        value: k8s.namespace.name, k8s.pod.name, k8s.container.name, k8s.container.restart_count
";

/// What was sent through one of them.
struct Held {
    by_sink: Vec<Value>,
    by_loki: Vec<Entry>,
}

#[tokio::test]
async fn on_the_configuration_of_2023() {
    // Lines without a character have no format, and no route of the router is theirs.
    compare("2023", "", EXTENT, |corpus| corpus.lines - corpus.empty).await.unwrap();
}

#[tokio::test]
async fn with_the_operator_container() {
    // What it loses is in `where_the_collector_is_wrong`.
    let extent = Extent { without_lost: true, ..EXTENT };
    compare("container", CONTAINER, extent, |corpus| corpus.entries).await.unwrap();
}

async fn compare(
    name: &str,
    more: &str,
    extent: Extent,
    expected: impl FnOnce(&Corpus) -> usize,
) -> io::Result<()> {
    let pods = tempfile::tempdir()?;
    let corpus = Corpus::write(pods.path(), extent, Timestamp::now())?;
    assert!(corpus.files.len() >= 30 && corpus.lines >= 10_000, "{corpus:?}");
    let expected = expected(&corpus);
    let loki = Loki::start_with(&GENEROUS).await?;
    let collectors = send(Kind::Collector, pods.path(), more, &loki, expected).await?;
    let ours = send(Kind::Agent(program!()), pods.path(), more, &loki, expected).await?;
    let records = Comparison::of_records(&ours.by_sink, &collectors.by_sink);
    let entries = Comparison::of_entries(&ours.by_loki, &collectors.by_loki);
    println!("| configuration | what holds them | records | equal | different |");
    println!("| --- | --- | --- | --- | --- |");
    println!("| {name} | OTLP receiver | {records}\n| {name} | Loki | {entries}");
    assert_eq!((records.records, records.equal), (expected, expected));
    assert!(records.differences.is_empty());
    assert_eq!((entries.records, entries.equal), (expected, expected));
    assert!(entries.differences.is_empty());
    Ok(())
}

/// What a receiver and `loki` hold of the pods' lines after `kind` has sent so many.
async fn send(
    kind: Kind<'_>,
    pods: &Path,
    more: &str,
    loki: &Loki,
    expected: usize,
) -> io::Result<Held> {
    let sink = Sink::start().await?;
    let [grpc, http] = [free_port()?, free_port()?];
    let seed = configuration::seed(kind, pods, loki.url(), "127.0.0.1:1", grpc, http);
    // A receiver that is slow on a busy machine must not be sent anything twice.
    let to_both = format!(
        "exporters:\n  loki:\n    timeout: 1m\n    headers:\n      X-Scope-OrgID: {}\n  \
         otlp/sink:\n    endpoint: {}\n    timeout: 1m\n    tls:\n      insecure: true\n\
         service:\n  pipelines:\n    logs:\n      exporters: [loki, otlp/sink]\n",
        kind.name(),
        sink.address()
    );
    let configs = [seed, to_both, more.to_owned()];
    let mut relay = Relay::start(kind, &configs).await?;
    eventually("every line has come", async || match sink.len() {
        count if count >= expected => Ok(()),
        count => Err(format!("{count} of {expected}")),
    })
    .await;
    // What comes twice, and what Loki has not got yet, comes before the end.
    relay.stop().await;
    let by_loki = loki.entries(kind.name(), "{exporter=\"OTLP\"}").await;
    let mut by_loki = by_loki.map_err(io::Error::other)?;
    for entry in by_loki.iter_mut().filter(|entry| entry.line.contains(FOREIGN)) {
        // It says no time, so it has that of its reading.
        entry.nanos.clear();
    }
    Ok(Held { by_sink: sink.records(), by_loki })
}

//! One corpus of pod logs through the real Collector and through the agent, on the same configuration: what an OTLP receiver
//! then holds is the same, record for record.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;
use spanline_backends::compare::Comparison;
use spanline_backends::{Corpus, Extent, Kind, Relay, Sink, configuration, free_port, program};
use spanline_tests::eventually;

const EXTENT: Extent = Extent { files: 36, lines_each: 300 };
const HEAD: &str = "| configuration | what holds them | records | equal | different |\n\
                    | --- | --- | --- | --- | --- |";

#[tokio::test]
async fn on_the_configuration_of_2023_an_otlp_receiver_gets_the_same_records() {
    let pods = tempfile::tempdir().unwrap();
    let corpus = Corpus::write(pods.path(), EXTENT, Timestamp::now()).unwrap();
    assert!(corpus.files.len() >= 30 && corpus.lines >= 10_000, "{corpus:?}");
    // Lines without a character have no format, and no route of the router is theirs.
    let expected = corpus.lines - corpus.empty;
    let collectors = records(Kind::Collector, pods.path(), expected).await.unwrap();
    let ours = records(Kind::Agent(program!()), pods.path(), expected).await.unwrap();
    let found = Comparison::of_records(&ours, &collectors);
    println!("{HEAD}\n| 2023 | OTLP receiver | {found}");
    assert_eq!((found.records, found.equal), (expected, expected), "{found}");
    assert!(found.differences.is_empty(), "{found}");
}

/// What a receiver holds of the pods' lines after `kind` has sent it so many.
async fn records(kind: Kind<'_>, pods: &Path, expected: usize) -> io::Result<Vec<Value>> {
    let sink = Sink::start().await?;
    let [grpc, http] = [free_port()?, free_port()?];
    let seed = configuration::seed(kind, pods, "http://127.0.0.1:1", "127.0.0.1:1", grpc, http);
    let mut relay = Relay::start(kind, &[seed, over(kind, &sink)]).await?;
    eventually("every line has come", async || match sink.len() {
        count if count >= expected => Ok(()),
        count => Err(format!("{count} of {expected}")),
    })
    .await;
    // What comes twice comes before the end.
    relay.stop().await;
    Ok(sink.records())
}

/// Sends to `sink` in Loki's place.
fn over(kind: Kind<'_>, sink: &Sink) -> String {
    let to_sink = format!(
        "exporters:\n  otlp/sink:\n    endpoint: {}\n    tls:\n      insecure: true\n\
         service:\n  pipelines:\n    logs:\n      exporters: [otlp/sink]\n",
        sink.address()
    );
    match kind {
        Kind::Agent(_) => to_sink,
        // A line's blanks at its ends are part of it for the agent.
        Kind::Collector => format!(
            "{to_sink}receivers:\n  filelog:\n    preserve_leading_whitespaces: true\n    \
             preserve_trailing_whitespaces: true\n"
        ),
    }
}

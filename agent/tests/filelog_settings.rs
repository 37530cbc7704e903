//! What the receiver `filelog` is told acts on real files, over stops and kills.

#[path = "harness/node.rs"]
mod node;
use node::{Node, entry, eventually};

#[tokio::test]
async fn start_at_end_leaves_what_is_there_and_takes_what_comes() {
    let node = Node::new();
    node.configure("    start_at: end\n    operators: [{type: noop}]");
    node.append("0.log.20261124-140000", "older\n");
    node.append("0.log", "old\n");
    let tailer = node.start();
    eventually(|| node.has_checkpoint_of("0.log")).await;
    node.append("0.log", "new\n");
    eventually(|| node.texts() == ["new"]).await;
    // A log that comes later is read from its beginning, and so is everything once there is a checkpoint.
    node.append("1.log", "next run\n");
    eventually(|| node.texts() == ["new", "next run"]).await;
    tailer.stop().await;
    node.append("2.log", "while it was away\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["new", "next run", "while it was away"]).await;
    tailer.stop().await;
}

const CONTAINER: &str =
    "    start_at: beginning\n    include_file_path: true\n    operators: [{type: container}]";

#[tokio::test]
async fn container_joins_parts_and_names_the_pod() {
    let node = Node::new();
    node.configure(CONTAINER);
    let at = "2026-11-23T17:28:00.123456789Z";
    node.append("0.log", &format!("{at} stdout P one \n{at} stderr F other\n"));
    let tailer = node.start();
    eventually(|| node.texts() == ["other"]).await;
    tailer.kill().await;
    node.append("0.log", &format!("{at} stdout F two \t\r\n"));
    let tailer = node.start();
    eventually(|| node.texts().last().is_some_and(|text| text == "one two")).await;
    let resource = node.resource();
    for (key, value) in [
        ("k8s.namespace.name", "shop"),
        ("k8s.pod.name", "web"),
        ("k8s.pod.uid", "0a1b"),
        ("k8s.container.name", "app"),
        ("k8s.container.restart_count", "0"),
    ] {
        assert_eq!(resource.get(key), Some(value), "{key}");
    }
    let records = node.records();
    assert_eq!(records[0].get("log.iostream"), Some("stderr"));
    assert_eq!(records[0].time_unix_nano, 1_795_454_880_123_456_789);
    assert_eq!(records[1].get("logtag"), Some("P"));
    tailer.stop().await;
}

const RECOMBINE: &str = "    start_at: beginning\n    operators:\n    - {type: recombine, combine_field: body, \
                         is_first_entry: 'body matches \"^[0-9]\"', force_flush_period: PERIOD}";

#[tokio::test]
async fn recombined_entries_come_once_over_restarts_and_lost_deliveries() {
    let node = Node::new();
    node.configure(&RECOMBINE.replace("PERIOD", "1h"));
    node.append("0.log", "1 one\n  at a\n  at b\n2 two\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["1 one\nat a\nat b"]).await;
    tailer.stop().await;
    node.append("0.log", "  at c\n3 three\n");
    node.refuse_deliveries(1);
    let tailer = node.start();
    eventually(|| node.texts().len() == 2).await;
    tailer.stop().await;
    node.append("0.log", "  at d\n4 four\n");
    let tailer = node.start();
    eventually(|| node.texts().len() == 3).await;
    assert_eq!(node.texts(), ["1 one\nat a\nat b", "2 two\nat c", "3 three\nat d"]);
    tailer.stop().await;
}

#[tokio::test]
async fn what_recombine_waits_for_in_vain_is_handed_on() {
    let node = Node::new();
    node.configure(&RECOMBINE.replace("PERIOD", "20ms"));
    node.append("0.log", "1 one\n  at a\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["1 one\nat a"]).await;
    tailer.stop().await;
    let tailer = node.start();
    node.append("0.log", &entry("next"));
    eventually(|| node.texts().len() == 2).await;
    tailer.stop().await;
}

//! Every line of every container log is handed on exactly once, whatever the kubelet does to the files.

use std::path::Path;

#[path = "harness/node.rs"]
mod node;
use node::{Node, entry, eventually};

#[tokio::test]
async fn lines_come_with_their_pod_and_only_when_they_are_whole() {
    let node = Node::new();
    node.append("0.log", &entry("one"));
    let tailer = node.start();
    eventually(|| node.texts() == ["one"]).await;
    node.append("0.log", "2026-11-23T17:28:00Z stdout F tw");
    node.append("0.log", "o\n");
    eventually(|| node.texts() == ["one", "two"]).await;
    let resource = node.resource();
    assert_eq!(resource.get("k8s.pod.name"), Some("web"));
    assert_eq!(resource.get("k8s.container.name"), Some("app"));
    let path = resource.get("log.file.path").map(Path::new);
    assert!(path.is_some_and(|path| path.ends_with("shop_web_0a1b/app/0.log")), "{path:?}");
    tailer.stop().await;
}

#[tokio::test]
async fn two_lines_that_are_alike_are_not_observed_at_the_same_time() {
    let node = Node::new();
    node.append("0.log", &"no runtime wrote this\n".repeat(100));
    let tailer = node.start();
    eventually(|| node.texts().len() == 100).await;
    tailer.stop().await;
    let records = node.records();
    assert!(
        records.is_sorted_by(|one, next| {
            one.observed_time_unix_nano < next.observed_time_unix_nano
        })
    );
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_before_its_successor() {
    let node = Node::new();
    node.append("0.log", &entry("1"));
    let tailer = node.start();
    eventually(|| node.texts().len() == 1).await;
    node.rename("0.log", "0.log.20261124-140000");
    node.append("0.log.20261124-140000", &entry("2"));
    eventually(|| node.texts().len() == 2).await;
    node.append("0.log", &entry("3"));
    eventually(|| node.texts() == ["1", "2", "3"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn what_was_rotated_and_gzipped_while_the_agent_was_down_comes_once() {
    let node = Node::new();
    node.append("0.log", &entry("1"));
    let tailer = node.start();
    eventually(|| node.texts().len() == 1).await;
    tailer.stop().await;

    node.append("0.log", &entry("2"));
    node.rename("0.log", "0.log.20261124-140000");
    node.gzip("0.log.20261124-140000");
    node.append("0.log", &entry("3"));
    node.rename("0.log", "0.log.20261124-150000");
    node.append("0.log", &entry("4"));
    let tailer = node.start();
    eventually(|| node.texts().len() >= 4).await;
    tailer.stop().await;
    let tailer = node.start();
    node.append("0.log", &entry("5"));
    eventually(|| node.texts().len() >= 5).await;
    tailer.stop().await;
    assert_eq!(node.texts(), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_split_line_is_joined_over_a_rotation_and_a_restart() {
    let node = Node::new();
    node.append("0.log", "2026-11-23T17:28:00Z stdout P begin \n");
    node.append("0.log", "2026-11-23T17:28:00Z stderr F between\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["between"]).await;
    tailer.stop().await;
    node.rename("0.log", "0.log.20261124-140000");
    node.append("0.log", "2026-11-23T17:28:00Z stdout F end\n");
    node.append("0.log", &entry("next"));
    let tailer = node.start();
    eventually(|| node.texts() == ["between", "begin end", "next"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn a_truncated_file_is_read_from_its_new_beginning() {
    let node = Node::new();
    node.append("0.log", &entry("a rather long line"));
    let tailer = node.start();
    eventually(|| node.texts().len() == 1).await;
    node.truncate("0.log");
    node.append("0.log", "2026-11-23T17:28:59Z stdout F new\n");
    eventually(|| node.texts() == ["a rather long line", "new"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn a_file_that_was_emptied_and_filled_to_the_same_size_is_read_again() {
    let node = Node::new();
    node.append("0.log", "2026-11-23T17:28:00Z stdout F old\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["old"]).await;
    node.truncate("0.log");
    node.append("0.log", "2026-11-23T17:28:59Z stdout F new\n");
    eventually(|| node.texts() == ["old", "new"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn a_deleted_file_gives_its_rest_and_a_line_that_never_ended() {
    let node = Node::new();
    node.append("0.log", "2026-11-23T17:28:00Z stdout P never ended\n");
    let tailer = node.start();
    eventually(|| node.lines_read() == 1).await;
    node.append("0.log", &entry("last").replace("stdout", "stderr"));
    node.remove("0.log");
    eventually(|| node.texts() == ["last", "never ended"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn what_was_not_taken_is_read_again() {
    let node = Node::new();
    node.refuse_deliveries(2);
    node.append("0.log", &entry("1"));
    node.append("0.log", &entry("2"));
    let tailer = node.start();
    eventually(|| node.texts() == ["1", "2"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn a_kill_may_double_lines_and_loses_none() {
    let node = Node::new();
    node.append("0.log", &entry("1"));
    let tailer = node.start();
    eventually(|| node.texts().len() == 1).await;
    tailer.kill().await;
    node.append("0.log", &entry("2"));
    let tailer = node.start();
    eventually(|| node.texts().last().is_some_and(|text| text == "2")).await;
    tailer.stop().await;
    assert_eq!(node.texts().first().map(String::as_str), Some("1"));
}

#[tokio::test]
async fn a_log_larger_than_a_batch_keeps_its_order() {
    let node = Node::new();
    let expected: Vec<String> =
        (0..5_000).map(|n| format!("line {n} {}", "x".repeat(100))).collect();
    let text: String = expected.iter().map(|text| entry(text)).collect();
    node.append("0.log", &text);
    let tailer = node.start();
    eventually(|| node.texts().len() >= expected.len()).await;
    tailer.stop().await;
    assert!(node.texts() == expected);
    assert!(node.largest_batch() <= 1_000);
}

#[tokio::test]
async fn an_excluded_log_is_left_alone() {
    let node = Node::new();
    node.exclude("^.*/1\\.log$");
    node.append("0.log", &entry("read"));
    node.append("1.log", &entry("left alone"));
    let tailer = node.start();
    eventually(|| node.texts() == ["read"]).await;
    tailer.stop().await;
    assert_eq!(node.texts(), ["read"]);
}

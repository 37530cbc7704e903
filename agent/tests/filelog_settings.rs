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

/// Every line as it is, of the files that match.
fn plain(keys: &str) -> String {
    format!("    start_at: beginning\n    operators: [{{type: noop}}]\n{keys}")
}

#[tokio::test]
async fn files_of_any_pattern_are_followed_and_excluded_ones_not() {
    let node = Node::new();
    node.configure(&plain("    include: [DIR/*.txt, 'DIR/**/b.log']\n    exclude: [DIR/x*]\n"));
    node.append("a.txt", "one\n");
    node.append("x.txt", "not me\n");
    node.append("other.log", "nor me\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["one"]).await;
    node.append("b.log", "two\n");
    eventually(|| node.texts() == ["one", "two"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn files_rotated_by_numbers_come_once_also_while_the_agent_is_away() {
    let node = Node::new();
    // The rotated files match as well: they are the log's, and not logs of their own.
    node.configure(&plain("    include: [DIR/app.log*]\n"));
    let rotate = || {
        for n in (1..4).rev().filter(|n| node.exists(&format!("app.log.{n}"))) {
            node.rename(&format!("app.log.{n}"), &format!("app.log.{}", n + 1));
        }
        node.rename("app.log", "app.log.1");
    };
    let mut expected = Vec::new();
    let mut write = |text: &str| {
        node.append("app.log", &format!("{text}\n"));
        expected.push(text.to_owned());
        expected.clone()
    };
    write("1");
    rotate();
    let lines = write("2");
    let tailer = node.start();
    eventually(|| node.texts() == lines).await;
    rotate();
    let lines = write("3");
    eventually(|| node.texts() == lines).await;
    tailer.stop().await;
    write("4");
    rotate();
    write("5");
    rotate();
    let lines = write("6");
    let tailer = node.start();
    eventually(|| node.texts().len() >= lines.len()).await;
    assert_eq!(node.texts(), lines);
    tailer.stop().await;
}

#[tokio::test]
async fn a_file_that_is_moved_to_another_matching_name_comes_once() {
    let node = Node::new();
    node.configure(&plain("    include: [DIR/*.log]\n"));
    node.append("app.log", "1\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["1"]).await;
    node.rename("app.log", "app-monday.log");
    node.append("app-monday.log", "2\n");
    node.append("app.log", "3\n");
    eventually(|| node.texts() == ["1", "2", "3"]).await;
    eventually(|| node.has_checkpoint_of("app-monday.log")).await;
    tailer.stop().await;
    node.rename("app.log", "app-tuesday.log");
    node.append("app.log", "4\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["1", "2", "3", "4"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn blanks_around_lines_are_kept_where_it_is_told() {
    for (keys, expected) in [
        ("", "a b"),
        ("    preserve_leading_whitespaces: true\n", "  a b"),
        ("    preserve_trailing_whitespaces: true\n", "a b \t"),
    ] {
        let node = Node::new();
        node.configure(&plain(keys));
        node.append("0.log", "  a b \t\n\n");
        let tailer = node.start();
        eventually(|| node.texts() == [expected]).await;
        tailer.stop().await;
    }
}

#[tokio::test]
async fn lines_are_cut_where_it_is_told() {
    for (keys, text, expected) in [
        ("    max_log_size: 4\n", "abcdefgh1\n", &["abcd", "efgh", "1"][..]),
        (
            "    multiline: {line_start_pattern: '^#'}\n    force_flush_period: 20ms\n",
            "#1\na\n#2\nb\n",
            &["#1\na", "#2\nb"],
        ),
        ("    multiline: {line_end_pattern: ';', omit_pattern: true}\n", "a\nb;c;", &["a\nb", "c"]),
        ("    force_flush_period: 20ms\n", "no newline", &["no newline"]),
        ("    encoding: utf-8\n", "é\n", &["é"]),
    ] {
        let node = Node::new();
        node.configure(&plain(keys));
        node.append("0.log", text);
        let tailer = node.start();
        eventually(|| node.texts() == expected).await;
        tailer.stop().await;
    }
}

#[tokio::test]
async fn lines_have_what_is_told_of_their_file() {
    let node = Node::new();
    node.append("real.txt", "line\n");
    node.link("real.txt", "0.log");
    node.configure(&plain(
        "    include_file_path: true\n    include_file_name_resolved: true\n    include_file_path_resolved: true\n    \
         attributes: {team: shop}\n    resource: {service.name: web}\n",
    ));
    let tailer = node.start();
    eventually(|| node.texts() == ["line"]).await;
    tailer.stop().await;
    let record = node.records().remove(0);
    for (key, end) in [
        ("log.file.name", "0.log"),
        ("log.file.path", "/app/0.log"),
        ("log.file.name_resolved", "real.txt"),
        ("log.file.path_resolved", "/app/real.txt"),
        ("team", "shop"),
    ] {
        assert!(record.get(key).is_some_and(|value| value.ends_with(end)), "{key}: {record:?}");
    }
    assert_eq!(node.resource().get("service.name"), Some("web"));
}

#[tokio::test]
async fn gzipped_files_are_read_where_it_is_told() {
    for (keys, file) in [
        ("    include: [DIR/*]\n    compression: auto\n", "a.txt.gz"),
        ("    include: [DIR/*]\n    compression: gzip\n", "a.txt"),
    ] {
        let node = Node::new();
        node.append("b", "inside\n");
        node.gzip("b");
        node.rename("b.gz", file);
        node.configure(&plain(keys));
        let tailer = node.start();
        eventually(|| node.texts() == ["inside"]).await;
        tailer.stop().await;
        let tailer = node.start();
        eventually(|| node.has_checkpoint_of(file)).await;
        tailer.stop().await;
        assert_eq!(node.texts(), ["inside"]);
    }
}

#[tokio::test]
async fn old_files_and_too_many_files_wait() {
    let node = Node::new();
    node.configure(&plain("    exclude_older_than: 1h\n    max_concurrent_files: 1\n"));
    node.append("0.log", "old\n");
    node.age("0.log", 7_200);
    node.append("1.log", "one\n");
    node.append("2.log", "two\n");
    let tailer = node.start();
    eventually(|| node.texts() == ["one"]).await;
    node.remove("1.log");
    eventually(|| node.texts() == ["one", "two"]).await;
    tailer.stop().await;
}

#[tokio::test]
async fn the_checkpoint_tells_files_apart_by_as_much_as_it_is_told() {
    let node = Node::new();
    node.configure(&plain("    fingerprint_size: 16\n"));
    node.append("0.log", "the same beginning, then A\n");
    let tailer = node.start();
    eventually(|| node.texts().len() == 1).await;
    tailer.stop().await;
    // The same file, and its first 16 bytes are the same: it is the same file.
    node.overwrite("0.log", "the same beginning, then B\nmore\n");
    let tailer = node.start();
    eventually(|| node.texts().len() == 2).await;
    assert_eq!(node.texts()[1], "more");
    tailer.stop().await;
}

#[tokio::test]
async fn our_own_lines_are_read_from_plain_files() {
    let node = Node::new();
    node.configure("    start_at: beginning\n    include: [DIR/*.log]\n    operators: [{type: spanline_parser}]");
    let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7");
    let bracket = format!("[trace_id={trace} span_id={span}");
    for line in [
        format!("2026-11-23T17:28:00.123456Z INFO {bracket}] checkout::cart: added item sku=12"),
        format!("[INFO] {bracket}] added item {{\"level\":\"info\"}}"),
        format!(
            "2026-11-23 17:28:00,123 INFO [checkout::cart] [cart.rs:41] {bracket} resource.service.name=api-python trace_sampled=True] - added"
        ),
        format!(
            "{{\"timestamp\":\"2026-11-23T17:28:00.123456Z\",\"level\":\"info\",\"message\":\"added item\",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",\"trace_flags\":\"01\"}}"
        ),
        format!(
            "ts=2026-11-23T17:28:00.123456Z level=info target=checkout::cart trace_id={trace} span_id={span} msg=\"added item\""
        ),
    ] {
        node.append("api.log", &format!("{line}\n"));
    }
    let tailer = node.start();
    eventually(|| node.texts().len() == 5).await;
    tailer.stop().await;
    for record in node.records() {
        assert_eq!(record.trace_id.map(|id| id.to_string()).as_deref(), Some(trace), "{record:?}");
        assert_eq!(record.span_id.map(|id| id.to_string()).as_deref(), Some(span), "{record:?}");
        assert_eq!(record.severity_number, 9, "{record:?}");
    }
    for at in [0, 3, 4] {
        assert_eq!(node.records()[at].time_unix_nano, 1_795_454_880_123_456_000, "{at}");
    }
    assert_eq!(node.records()[2].get("service.name"), Some("api-python"));
}

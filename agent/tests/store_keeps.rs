//! What is written is read back: at once, after a restart, and within the cap.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use spanline_agent::record::{
    Batch, Body, LogBatch, LogRecord, Resource, SpanBatch, SpanId, TraceId, text_attribute,
};
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::store::{
    Config, Direction, LineQuery, SearchQuery, Store, StoreError, WriteError, logql,
};

const MIB: u64 = 1024 * 1024;

fn open(directory: &Path, max_bytes: u64) -> Store {
    let mut config = Config::new(directory);
    config.max_bytes = max_bytes;
    Store::open(config, Arc::new(SelfMetrics::new())).unwrap()
}

fn trace_id() -> TraceId {
    TraceId::from_hex(b"0af7651916cd43dd8448eb211c80319c").unwrap()
}

fn record(time_unix_nano: u64, text: &str) -> LogRecord {
    LogRecord {
        time_unix_nano,
        observed_time_unix_nano: time_unix_nano,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Body::Text(text.to_owned().into()),
        attributes: vec![text_attribute("log.iostream", "stderr"), text_attribute("user", "u")],
        trace_id: Some(trace_id()),
        span_id: SpanId::from_hex(b"00f067aa0ba902b7"),
        flags: 1,
    }
}

fn logs(records: Vec<LogRecord>) -> Arc<Batch> {
    let attributes = vec![
        text_attribute("k8s.pod.name", "api-node"),
        text_attribute("k8s.container.name", "api"),
        text_attribute("k8s.pod.uid", "uid-1"),
    ];
    let resource = Arc::new(Resource { attributes });
    Arc::new(Batch::Logs(vec![LogBatch { resource, scope: None, records }]))
}

fn spans(service: &str, spans: Vec<Span>) -> Arc<Batch> {
    let attributes = vec![text_attribute("service.name", service)];
    let resource = Some(OtlpResource { attributes, ..OtlpResource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let spans = ResourceSpans { resource, scope_spans, schema_url: String::new() };
    Arc::new(Batch::Spans(SpanBatch { resource_spans: vec![spans] }))
}

fn span(id: u8, parent: Option<u8>) -> Span {
    Span {
        trace_id: trace_id().as_bytes().to_vec(),
        span_id: vec![id; 8],
        parent_span_id: parent.map_or(Vec::new(), |parent| vec![parent; 8]),
        name: format!("span {id}"),
        start_time_unix_nano: 1_000 + u64::from(id),
        end_time_unix_nano: 2_000,
        ..Span::default()
    }
}

fn bytes_on_disk(directory: &Path) -> u64 {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().map_or(0, |metadata| metadata.len()))
        .sum()
}

#[tokio::test]
async fn a_line_is_read_back_as_it_was_written_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(logs(vec![record(5, "hello world!")])).await.unwrap();
    let before = store.lines(LineQuery::default()).await.unwrap();
    store.close().await;
    drop(store);
    let after = open(folder.path(), 8 * MIB).lines(LineQuery::default()).await.unwrap();
    assert_eq!(before, after);
    let [line] = &after[..] else { panic!("{after:?}") };
    assert_eq!((line.body.as_str(), line.level()), ("hello world!", "error"));
    assert_eq!(line.key.time_unix_nano, 5);
    assert_eq!(line.trace_id, Some(trace_id()));
    assert_eq!(line.span_id, SpanId::from_hex(b"00f067aa0ba902b7"));
    let labels: Vec<_> = line.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected =
        [("container", "api"), ("pod", "api-node"), ("service_name", "api"), ("stream", "stderr")];
    assert_eq!(labels, expected);
    assert_eq!(line.metadata["k8s_pod_uid"], "uid-1");
    assert_eq!(line.metadata["user"], "u");
}

#[tokio::test]
async fn a_query_finds_the_lines_that_match_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    let mut foreign = record(2, "hello moon");
    foreign.trace_id = TraceId::from_bytes(&[1; 16]);
    store.write(logs(vec![record(1, "hello world"), foreign, record(3, "bye")])).await.unwrap();
    let times = async |query: &str| {
        let lines = store.lines(logql::parse(query).unwrap()).await.unwrap();
        lines.iter().map(|line| line.key.time_unix_nano).collect::<Vec<_>>()
    };
    assert_eq!(times(r#"{pod="api-node"}"#).await, [3, 2, 1]);
    assert_eq!(times(r#"{pod="api"}"#).await, [0; 0]);
    assert_eq!(times(r#"{pod="api-node", namespace=""} |= "hello" |= "moon""#).await, [2]);
    let of_trace = format!(r#"{{container="api"}} | trace_id="{}""#, trace_id());
    assert_eq!(times(&of_trace).await, [3, 1]);
    let names = store.label_names(0, i64::MAX).await.unwrap();
    assert_eq!(names, ["container", "pod", "service_name", "stream"]);
    assert_eq!(store.label_values("pod".into(), 0, i64::MAX).await.unwrap(), ["api-node"]);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    // Equal times, so that only the order of arrival tells the lines apart.
    let records = (0..25).map(|n| record(7, &n.to_string())).collect();
    store.write(logs(records)).await.unwrap();
    let mut query = LineQuery { limit: 10, ..LineQuery::default() };
    let mut bodies = Vec::new();
    loop {
        let page = store.lines(query.clone()).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.key);
        bodies.extend(page.into_iter().map(|line| line.body));
    }
    let expected: Vec<_> = (0..25).rev().map(|n| n.to_string()).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn a_trace_is_the_spans_of_all_services_each_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    let (root, child) = (span(1, None), span(2, Some(1)));
    store.write(spans("api-node", vec![root.clone()])).await.unwrap();
    store.write(spans("api-python", vec![child.clone()])).await.unwrap();
    // A sender that got no answer sends again.
    store.write(spans("api-python", vec![child.clone()])).await.unwrap();
    let trace = store.trace(trace_id()).await.unwrap().unwrap();
    let found: Vec<_> = trace
        .spans
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect();
    assert_eq!(found, [root, child]);
    assert!(!trace.truncated);
    assert!(store.trace(TraceId::from_bytes(&[9; 16]).unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_search_finds_a_trace_by_any_of_its_services() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(spans("api-node", vec![span(1, None)])).await.unwrap();
    store.write(spans("api-python", vec![span(2, Some(1))])).await.unwrap();
    let query = SearchQuery {
        service: Some("api-python".to_owned()),
        name: None,
        min_duration_nanos: Some(999),
        max_duration_nanos: Some(999),
        start_unix_nano: 0,
        end_unix_nano: i64::MAX,
        limit: 20,
    };
    let found = store.search(query.clone()).await.unwrap();
    let [summary] = &found[..] else { panic!("{found:?}") };
    assert_eq!(summary.id, trace_id());
    assert_eq!(summary.root, Some(("api-node".to_owned(), "span 1".to_owned())));
    assert_eq!((summary.start_unix_nano, summary.duration_nanos), (1_001, 999));
    let longer = SearchQuery { min_duration_nanos: Some(1_000), ..query };
    assert_eq!(store.search(longer).await.unwrap(), []);
}

#[tokio::test]
async fn the_cap_holds_while_three_times_as_much_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let cap = 8 * MIB;
    let store = open(folder.path(), cap);
    let text = "x".repeat(1_000);
    for batch in 0..240_u64 {
        let records = (0..100).map(|n| record(batch * 100 + n + 1, &text)).collect();
        store.write(logs(records)).await.unwrap();
        let bytes = bytes_on_disk(folder.path());
        assert!(bytes <= cap, "{bytes} bytes after batch {batch}");
    }
    let query = LineQuery { limit: 1, ..LineQuery::default() };
    assert_eq!(store.lines(query.clone()).await.unwrap()[0].key.time_unix_nano, 24_000);
    let oldest = LineQuery { direction: Direction::Forward, ..query };
    let oldest = store.lines(oldest).await.unwrap()[0].key.time_unix_nano;
    assert!(oldest > 1, "nothing was deleted");
    // Retention deletes the oldest slices, not everything.
    assert!(bytes_on_disk(folder.path()) > cap / 2);
}

#[tokio::test]
async fn what_is_older_than_max_age_goes_though_nothing_is_written_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    config.max_age = Some(Duration::from_millis(300));
    let store = Store::open(config, Arc::new(SelfMetrics::new())).unwrap();
    store.write(logs(vec![record(5, "hello world!")])).await.unwrap();
    let gone = async {
        while !store.lines(LineQuery::default()).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is still shown");
    store.write(logs(vec![record(6, "and again")])).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_slice_that_cannot_be_read_is_set_aside_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(logs(vec![record(5, "kept")])).await.unwrap();
    store.close().await;
    drop(store);
    fs::write(folder.path().join("slice-0000000000.db"), [b'?'; 8192]).unwrap();
    let store = open(folder.path(), 8 * MIB);
    assert_eq!(store.lines(LineQuery::default()).await.unwrap()[0].body, "kept");
    assert!(folder.path().join("slice-0000000000.db.damaged").exists());
}

#[tokio::test]
async fn a_slice_that_cannot_be_opened_for_another_reason_than_damage_is_not_given_up() {
    let folder = tempfile::tempdir().unwrap();
    // SQLite cannot open a folder, which is no damage of a file.
    let slice = folder.path().join("slice-0000000001.db");
    fs::create_dir(&slice).unwrap();
    let opened = Store::open(Config::new(folder.path()), Arc::new(SelfMetrics::new()));
    assert!(matches!(opened, Err(StoreError::Slice { .. })), "{opened:?}");
    assert!(slice.exists());
}

#[tokio::test]
async fn a_slice_of_another_version_is_left_as_it_is_and_an_unfinished_one_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (foreign, unfinished) =
        (folder.path().join("slice-0000000001.db"), folder.path().join("slice-0000000002.db"));
    rusqlite::Connection::open(&foreign).unwrap().pragma_update(None, "user_version", 99).unwrap();
    fs::write(&unfinished, []).unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(logs(vec![record(5, "kept")])).await.unwrap();
    assert_eq!(store.lines(LineQuery::default()).await.unwrap().len(), 1);
    assert!(foreign.exists() && !unfinished.exists());
}

#[tokio::test]
async fn a_query_that_contradicts_itself_matches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(logs(vec![record(5, "kept")])).await.unwrap();
    let (one, other) = ("1".repeat(32), "2".repeat(32));
    let text = format!("{{}} | trace_id=\"{one}\" | trace_id=\"{other}\"");
    let text = text.replace("{}", "{container=\"app\"}");
    let query = spanline_agent::store::logql::parse(&text).unwrap();
    let query = LineQuery { end_unix_nano: i64::MAX, ..query };
    assert!(store.lines(query).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_slice_of_the_first_version_is_still_shown() {
    let folder = tempfile::tempdir().unwrap();
    let oldest = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/store/slice-v1.db");
    fs::copy(oldest, folder.path().join("slice-0000000001.db")).unwrap();
    let store = open(folder.path(), 8 * MIB);
    let lines = store.lines(LineQuery::default()).await.unwrap();
    assert_eq!(lines[0].body, "a line of the first version");
    assert_eq!(lines[0].labels["container"], "api-node");
    assert_eq!(lines[0].trace_id.unwrap().to_string(), "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path(), 8 * MIB);
    let second = Store::open(Config::new(folder.path()), Arc::new(SelfMetrics::new()));
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{second:?}");
}

#[tokio::test]
async fn a_closed_store_refuses_to_write_and_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    store.write(logs(vec![record(5, "kept")])).await.unwrap();
    store.close().await;
    let refused = store.write(logs(vec![record(6, "late")])).await;
    assert_eq!(refused, Err(WriteError::Closed));
    assert_eq!(store.lines(LineQuery::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn readers_see_whole_batches_while_a_writer_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8 * MIB);
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for batch in 0..50_u64 {
                let records = (0..10).map(|n| record(batch * 10 + n + 1, "line")).collect();
                store.write(logs(records)).await.unwrap();
            }
        }
    });
    let reading = async {
        let query = LineQuery { limit: 1_000, ..LineQuery::default() };
        let mut seen = 0;
        while seen < 500 {
            let lines = store.lines(query.clone()).await.unwrap().len();
            assert!(lines >= seen && lines % 10 == 0, "{lines} lines after {seen}");
            seen = lines;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("500 lines in 30 s");
    writer.await.unwrap();
}

use std::collections::HashMap;
use std::fs;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Exporter as Configured};
use crate::export::testing;
use crate::otlp_json;
use crate::record::Batch;

fn configured(folder: &TempDir, keys: &str) -> Result<Settings, String> {
    let yaml = format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\n\
         exporters: {{file: {{path: '{}/logs.json', {keys}}}}}\n\
         service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [file]}}}}}}",
        folder.path().display()
    );
    let config = Config::from_yaml(&yaml, "test", &HashMap::new()).map_err(|e| e.to_string())?;
    match &config.exporters[0].settings {
        Configured::File(settings) => Ok(settings.clone()),
        other => Err(format!("{other:?}")),
    }
}

fn open(folder: &TempDir, keys: &str) -> File {
    File::new(&configured(folder, keys).unwrap()).unwrap()
}

fn logs(lines: &[&str]) -> Arc<Batch> {
    Arc::new(Batch::Logs(vec![testing::lines(lines)]))
}

fn read(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("logs.json")).unwrap()
}

fn bodies(request: &ExportLogsServiceRequest) -> Vec<String> {
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    records.iter().map(|record| format!("{:?}", record.body.as_ref().unwrap().value)).collect()
}

/// The bodies in a file of lines.
fn lines(text: &[u8]) -> Vec<String> {
    assert!(text.ends_with(b"\n"));
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.flat_map(|line| bodies(&otlp_json::from_slice(line).unwrap())).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("Some(StringValue({text:?}))")).collect()
}

#[tokio::test]
async fn each_batch_is_a_line_of_json_or_has_its_length_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = open(&folder, "");
    file.export(logs(&["1", "2"])).await.unwrap();
    file.export(logs(&["3"])).await.unwrap();
    let text = read(&folder);
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 2);
    assert_eq!(lines(&text), texts(&["1", "2", "3"]));

    let file = open(&folder, "format: proto");
    file.export(logs(&["1"])).await.unwrap();
    file.export(logs(&["2"])).await.unwrap();
    let (bytes, mut found) = (read(&folder), Vec::new());
    let mut rest = &bytes[..];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        found.extend(bodies(&ExportLogsServiceRequest::decode(message).unwrap()));
        rest = after;
    }
    assert_eq!(found, texts(&["1", "2"]));
}

#[tokio::test]
async fn a_start_begins_an_empty_file_unless_it_is_to_append() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder, "").export(logs(&["1"])).await.unwrap();
    open(&folder, "append: true").export(logs(&["2"])).await.unwrap();
    assert_eq!(lines(&read(&folder)), texts(&["1", "2"]));
    // As a kill leaves it.
    let path = folder.path().join("logs.json");
    fs::write(&path, [&read(&folder)[..], b"{\"resourceLogs\":"].concat()).unwrap();
    open(&folder, "append: true").export(logs(&["3"])).await.unwrap();
    let text = String::from_utf8(read(&folder)).unwrap();
    assert_eq!(lines(format!("{}\n", text.lines().last().unwrap()).as_bytes()), texts(&["3"]));
    open(&folder, "").export(logs(&["4"])).await.unwrap();
    assert_eq!(lines(&read(&folder)), texts(&["4"]));
}

#[tokio::test]
async fn a_full_file_makes_room_for_the_next_and_only_so_many_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(600 * 1024);
    let rotation = "rotation: {max_megabytes: 1, max_backups: 2}";
    for line in ["1", "2", "3", "4", "5"] {
        // Also over a restart.
        open(&folder, rotation).export(logs(&[line, &long])).await.unwrap();
    }
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files[0].starts_with("logs-20") && files[0].ends_with(".json"), "{files:?}");
    let first = |name: &str| lines(&fs::read(folder.path().join(name)).unwrap()).remove(0);
    let kept: Vec<_> = files.iter().map(|name| first(name)).collect();
    assert_eq!(kept, texts(&["3", "4", "5"]));
}

#[test]
fn files_that_are_too_old_go_and_those_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs.json");
    for name in [
        "logs-2026-11-01T00-00-00.000.json",
        "logs-2026-11-22T12-00-00.500.json",
        "logs-of-others.json",
        "logs.json",
    ] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let settings = configured(&folder, "rotation: {max_days: 3}").unwrap().rotation.unwrap();
    let now = "2026-11-24T00:00:00.123Z".parse().unwrap();
    Rotation { path: &path, settings: &settings }.rotate(now).unwrap();
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort_unstable();
    let expected = [
        "logs-2026-11-22T12-00-00.500.json",
        "logs-2026-11-24T00-00-00.123.json",
        "logs-of-others.json",
    ];
    assert_eq!(left, expected);
}

#[tokio::test]
async fn a_full_disk_is_tried_again() {
    let full = Settings {
        path: "/dev/full".into(),
        append: true,
        ..configured(&tempfile::tempdir().unwrap(), "").unwrap()
    };
    let error = File::new(&full).unwrap().export(logs(&["1"])).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("/dev/full"), "{error}");
}

/// A disk that has room for so many bytes.
struct Small(Vec<u8>, usize);

impl io::Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1 - self.0.len();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let count = room.min(bytes.len());
        self.0.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Small {
    fn cut(&mut self, size_bytes: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(size_bytes).unwrap());
        Ok(())
    }
}

#[test]
fn what_a_disk_has_no_room_for_is_taken_back_and_written_when_it_has() {
    let (mut disk, mut size_bytes) = (Small(Vec::new(), 10), 0);
    put(&mut disk, &mut size_bytes, b"first\n").unwrap();
    for _ in 0..2 {
        let error = put(&mut disk, &mut size_bytes, b"second\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.0, b"first\n");
    }
    disk.1 = 100;
    put(&mut disk, &mut size_bytes, b"second\n").unwrap();
    assert_eq!(disk.0, b"first\nsecond\n");
}

#[test]
fn what_does_not_go_together_or_cannot_be_opened_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for (keys, expected) in [
        ("append: true, rotation: {}", "append and rotation"),
        ("format: xml", "where json, proto is expected"),
        ("compression: zstd", "not a key that is supported here"),
        ("rotation: {max_megabytes: 0}", "a whole number from 1"),
    ] {
        let told = configured(&folder, keys).unwrap_err();
        assert!(told.contains(expected), "{keys}: {told}");
    }
    let missing = Settings { path: "/nowhere/logs".into(), ..configured(&folder, "").unwrap() };
    let told = File::new(&missing).unwrap_err().to_string();
    assert!(told.contains("/nowhere/logs of exporters::file::path"), "{told}");
}

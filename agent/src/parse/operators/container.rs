//! `container`: an entry of a container runtime becomes the line that the container printed, with its time, its stream and, by the file's
//! path, its pod.
//!
//! CRI's parts of a long line are joined, for each stream by itself and by their bytes, since a runtime cuts characters in two. As in the
//! Collector, the first part gives the time and the `logtag`, docker's entries are not joined, and a line ends after so many parts.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use regex::Regex;

use super::super::container::{MAX_ENTRIES_BETWEEN_PARTS, Stream};
use super::super::lines::trimmed_end;
use super::super::time::unix_nanos;
use super::entry::{Entry, put, text_value};
use super::{Step, Unfit, json_parser};
use crate::config::{Container, Format, Root};
use crate::record::{Body, Text};

/// After so many parts a line that has not ended is one: the rest becomes the next.
const MAX_PARTS: usize = 100;

/// What the Collector reads of a path.
static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^.*[/\\](?P<ns>[^_]+)_(?P<pod>[^_]+)_(?P<uid>[a-f0-9\-]+)[/\\](?P<name>[^._]+)[/\\](?P<restarts>[0-9]+)\.log(\.[0-9]{8}-[0-9]{6})?$",
    )
    .ok()
});

/// The attributes of a resource, by the group that has them.
const METADATA: [(&str, &str); 5] = [
    ("name", "k8s.container.name"),
    ("ns", "k8s.namespace.name"),
    ("pod", "k8s.pod.name"),
    ("restarts", "k8s.container.restart_count"),
    ("uid", "k8s.pod.uid"),
];

/// What has begun of one file's lines.
#[derive(Debug, Default)]
pub(super) struct Containers {
    stdout: Option<Join>,
    stderr: Option<Join>,
    /// The newest path, and what it says: a file's lines have the same.
    metadata: Option<(String, Vec<KeyValue>)>,
}

#[derive(Debug)]
struct Join {
    first: Entry,
    text: BytesMut,
    parts: usize,
    entries_since_part: u32,
}

impl Containers {
    pub(super) fn take(&mut self, settings: &Container, mut entry: Entry) -> Step {
        let is_body = settings.from.root == Root::Body && settings.from.keys.is_empty();
        let raw = match (&entry.record.body, entry.raw.take()) {
            (Body::Text(_), Some(raw)) if is_body => Some(raw),
            (Body::Text(text), _) if is_body => Some(text.bytes().clone()),
            _ => entry.text(&settings.from).map(|text| Bytes::copy_from_slice(text.as_bytes())),
        };
        let Some(raw) = raw else { return Step::Failed(entry) };
        let metadata = if settings.add_metadata { self.metadata(&entry) } else { Ok(Vec::new()) };
        let Ok(metadata) = metadata else { return Step::Failed(entry) };
        let is_docker = match settings.format {
            Some(format) => format == Format::Docker,
            None => raw.first() == Some(&b'{'),
        };
        if is_docker {
            return match docker(&raw, &mut entry) {
                Ok(()) => {
                    describe(&mut entry, metadata);
                    self.release_before(entry)
                }
                Err(Unfit) => Step::Failed(entry),
            };
        }
        let Some(cri) = cri(&raw, settings.format) else { return Step::Failed(entry) };
        let record = &mut entry.record;
        record.time_unix_nano = cri.time_unix_nano;
        put(&mut record.attributes, "log.iostream", text_value(cri.stream.as_str()));
        put(&mut record.attributes, "logtag", text_value(cri.tag));
        describe(&mut entry, metadata);
        self.join(settings, entry, &cri)
    }

    fn join(&mut self, settings: &Container, mut entry: Entry, cri: &Cri<'_>) -> Step {
        let mut freed = self.give_up_the_abandoned();
        let open = match cri.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if open.is_none() && !cri.is_partial {
            let trims_end = entry.trims_end;
            let text = if trims_end { trimmed_end(cri.text.clone()) } else { cri.text.clone() };
            entry.record.body = Body::Text(Text::from_utf8_lossy(text));
            if freed.is_empty() {
                return Step::On(entry);
            }
            freed.push(entry);
            return Step::Held(freed);
        }
        let join = open.get_or_insert_with(|| Join {
            first: entry,
            text: BytesMut::new(),
            parts: 0,
            entries_since_part: 0,
        });
        join.text.extend_from_slice(&cri.text);
        join.parts += 1;
        join.entries_since_part = 0;
        let is_long = join.text.len() > settings.max_log_bytes || join.parts >= MAX_PARTS;
        if !cri.is_partial || is_long {
            freed.extend(open.take().map(Join::finish));
        }
        Step::Held(freed)
    }

    /// Everything that has begun, the oldest first.
    pub(super) fn flush(&mut self) -> Vec<Entry> {
        let mut joins: Vec<Join> =
            [self.stdout.take(), self.stderr.take()].into_iter().flatten().collect();
        joins.sort_by_key(|join| join.first.line);
        joins.into_iter().map(Join::finish).collect()
    }

    /// The line with which the oldest began that has not ended.
    pub(super) fn oldest(&self) -> Option<u64> {
        [&self.stdout, &self.stderr].into_iter().flatten().map(|join| join.first.line).min()
    }

    fn release_before(&mut self, entry: Entry) -> Step {
        let mut freed = self.give_up_the_abandoned();
        if freed.is_empty() {
            return Step::On(entry);
        }
        freed.push(entry);
        Step::Held(freed)
    }

    /// A container that ends in the middle of a line leaves a part that nothing follows.
    fn give_up_the_abandoned(&mut self) -> Vec<Entry> {
        let mut freed = Vec::new();
        for open in [&mut self.stdout, &mut self.stderr] {
            let Some(join) = open else { continue };
            join.entries_since_part += 1;
            if join.entries_since_part > MAX_ENTRIES_BETWEEN_PARTS {
                freed.extend(open.take().map(Join::finish));
            }
        }
        freed
    }

    fn metadata(&mut self, entry: &Entry) -> Result<Vec<KeyValue>, Unfit> {
        let path = entry.record.get("log.file.path").ok_or(Unfit)?;
        if let Some((known, metadata)) = &self.metadata
            && known == path
        {
            return Ok(metadata.clone());
        }
        let captures = PATH.as_ref().and_then(|regex| regex.captures(path)).ok_or(Unfit)?;
        let mut metadata = Vec::with_capacity(METADATA.len());
        for (group, key) in METADATA {
            let found = captures.name(group).map_or("", |group| group.as_str());
            put(&mut metadata, key, text_value(found));
        }
        self.metadata = Some((path.to_owned(), metadata.clone()));
        Ok(metadata)
    }
}

fn describe(entry: &mut Entry, metadata: Vec<KeyValue>) {
    if entry.resource.is_empty() {
        entry.resource = metadata;
        return;
    }
    for KeyValue { key, value, .. } in metadata {
        put(&mut entry.resource, &key, value.unwrap_or_default());
    }
}

impl Join {
    fn finish(self) -> Entry {
        let Self { mut first, text, .. } = self;
        let text = text.freeze();
        let text = if first.trims_end { trimmed_end(text) } else { text };
        first.record.body = Body::Text(Text::from_utf8_lossy(text));
        first
    }
}

struct Cri<'a> {
    time_unix_nano: u64,
    stream: Stream,
    tag: &'a str,
    is_partial: bool,
    text: Bytes,
}

/// `<time> <stream> <tag> <text>`; after the tag everything may be missing.
fn cri(raw: &Bytes, format: Option<Format>) -> Option<Cri<'_>> {
    let time_end = memchr(b' ', raw.get(..raw.len().min(40))?)?;
    let time = &raw[..time_end];
    let fits = match format {
        Some(Format::Crio) => !time.ends_with(b"Z"),
        Some(Format::Containerd) => time.ends_with(b"Z"),
        _ => true,
    };
    let time_unix_nano = unix_nanos(time).filter(|_| fits)?;
    let stream = match raw.get(time_end + 1..time_end + 8)? {
        b"stdout " => Stream::Stdout,
        b"stderr " => Stream::Stderr,
        _ => return None,
    };
    let tag_start = time_end + 8;
    let rest = &raw[tag_start..];
    let tag_len = memchr(b' ', rest).unwrap_or(rest.len());
    let tag = std::str::from_utf8(&rest[..tag_len]).ok()?;
    let text = raw.slice((tag_start + tag_len + 1).min(raw.len())..);
    Some(Cri { time_unix_nano, stream, tag, is_partial: tag.starts_with('P'), text })
}

/// docker's object: `log`, `stream` and `time` have their places, everything else becomes an attribute.
fn docker(raw: &[u8], entry: &mut Entry) -> Result<(), Unfit> {
    let text = String::from_utf8_lossy(raw);
    let mut object = json_parser::object(&text, false)?;
    let mut take = |key: &str| {
        let at = object.iter().position(|pair| pair.key == key)?;
        object.remove(at).value
    };
    let (Some(log), Some(stream), Some(time)) = (take("log"), take("stream"), take("time")) else {
        return Err(Unfit);
    };
    let time = match &time.value {
        Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(time)) => {
            unix_nanos(time.as_bytes())
        }
        _ => None,
    };
    entry.record.time_unix_nano = time.ok_or(Unfit)?;
    for KeyValue { key, value, .. } in object {
        put(&mut entry.record.attributes, &key, value.unwrap_or_default());
    }
    put(&mut entry.record.attributes, "log.iostream", stream);
    entry.replace_body(log);
    Ok(())
}

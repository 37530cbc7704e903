//! The entries that container runtimes write: CRI (`<time> <stream> <P|F> <text>`) and docker's json.
//!
//! A line longer than 16 KiB comes in parts; those of stdout and stderr may interleave, so each
//! stream is joined for itself.

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use serde::Deserialize;

use super::time::unix_nanos;

/// Longest line that parts are joined to; the rest is cut.
pub(super) const MAX_JOINED_BYTES: usize = 1024 * 1024;
/// A part that so many other entries have followed is the last of its stream: a container that ends in the
/// middle of a line leaves such a part, and it must not hold back the other stream's progress for ever.
pub(super) const MAX_ENTRIES_BETWEEN_PARTS: u32 = 4_096;

/// Which of a container's two outputs an entry was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One whole line of a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) time_unix_nano: u64,
    /// `None` when the entry was not one.
    pub(super) stream: Option<Stream>,
    pub(super) text: Bytes,
    /// Whether its end was cut off.
    pub(super) cut: bool,
}

struct Entry {
    time_unix_nano: u64,
    stream: Stream,
    partial: bool,
    text: Bytes,
}

/// Joins the parts of each stream.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    stdout: Option<Join>,
    stderr: Option<Join>,
}

#[derive(Debug)]
struct Join {
    time_unix_nano: u64,
    text: BytesMut,
    cut: bool,
    entries_since_part: u32,
}

impl Joiner {
    /// Takes the next entry and emits every line that is now whole.
    pub(super) fn entry(&mut self, raw: &Bytes, mut emit: impl FnMut(Joined)) {
        self.give_up_the_abandoned(&mut emit);
        let Some(entry) = cri(raw).or_else(|| docker(raw)) else {
            let text = raw.clone();
            return emit(Joined { time_unix_nano: 0, stream: None, text, cut: false });
        };
        let Entry { time_unix_nano, stream, partial, text } = entry;
        let open = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        if open.is_none() && !partial {
            let (text, cut) = shortened(text);
            return emit(Joined { time_unix_nano, stream: Some(stream), text, cut });
        }
        let join = open.get_or_insert_with(|| Join::new(time_unix_nano));
        join.append(&text);
        if !partial && let Some(join) = open.take() {
            emit(join.finish(stream));
        }
    }

    /// Whether a line has begun that has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.stdout.is_some() || self.stderr.is_some()
    }

    /// Emits what has begun: there will be no more.
    pub(super) fn flush(&mut self, mut emit: impl FnMut(Joined)) {
        for (stream, open) in self.streams() {
            if let Some(join) = open.take() {
                emit(join.finish(stream));
            }
        }
    }

    fn give_up_the_abandoned(&mut self, mut emit: impl FnMut(Joined)) {
        for (stream, open) in self.streams() {
            let Some(join) = open else { continue };
            join.entries_since_part += 1;
            if join.entries_since_part > MAX_ENTRIES_BETWEEN_PARTS
                && let Some(join) = open.take()
            {
                emit(join.finish(stream));
            }
        }
    }

    fn streams(&mut self) -> [(Stream, &mut Option<Join>); 2] {
        [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)]
    }
}

impl Join {
    fn new(time_unix_nano: u64) -> Self {
        Self { time_unix_nano, text: BytesMut::new(), cut: false, entries_since_part: 0 }
    }

    fn append(&mut self, text: &[u8]) {
        self.entries_since_part = 0;
        let room = MAX_JOINED_BYTES - self.text.len();
        self.cut |= text.len() > room;
        self.text.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn finish(self, stream: Stream) -> Joined {
        let Self { time_unix_nano, text, cut, .. } = self;
        Joined { time_unix_nano, stream: Some(stream), text: text.freeze(), cut }
    }
}

fn shortened(mut text: Bytes) -> (Bytes, bool) {
    let cut = text.len() > MAX_JOINED_BYTES;
    text.truncate(MAX_JOINED_BYTES);
    (text, cut)
}

fn cri(raw: &Bytes) -> Option<Entry> {
    let time_end = memchr(b' ', raw.get(..raw.len().min(40))?)?;
    let time_unix_nano = unix_nanos(&raw[..time_end])?;
    let rest = &raw[time_end + 1..];
    let stream = stream(rest.get(..6)?)?;
    let [b' ', tag @ (b'P' | b'F'), after @ ..] = &rest[6..] else { return None };
    // The tag may be followed by more tags (`F:…`); an empty text by no blank.
    let text_start = match after {
        [] => 0,
        [b' ', ..] => 1,
        [b':', ..] => memchr(b' ', after)? + 1,
        _ => return None,
    };
    let text = raw.slice(time_end + 1 + 8 + text_start..);
    Some(Entry { time_unix_nano, stream, partial: *tag == b'P', text })
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

#[derive(Deserialize)]
struct DockerEntry {
    log: String,
    stream: String,
    time: String,
}

/// docker's json-file driver: a part is an entry whose text has no newline at its end.
fn docker(raw: &Bytes) -> Option<Entry> {
    if !raw.starts_with(b"{\"log\":") {
        return None;
    }
    let entry: DockerEntry = serde_json::from_slice(raw).ok()?;
    let mut text = Bytes::from(entry.log);
    let partial = !text.ends_with(b"\n");
    text.truncate(text.len() - usize::from(!partial));
    let time_unix_nano = unix_nanos(entry.time.as_bytes())?;
    Some(Entry { time_unix_nano, stream: stream(entry.stream.as_bytes())?, partial, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[&str]) -> (Vec<(Option<Stream>, String)>, bool) {
        let mut joiner = Joiner::default();
        let mut lines = Vec::new();
        for entry in entries {
            joiner.entry(&Bytes::from((*entry).to_owned()), |line| {
                lines.push((line.stream, String::from_utf8(line.text.to_vec()).unwrap()));
            });
        }
        (lines, joiner.is_open())
    }

    const T: &str = "2026-11-23T17:28:00.123456789Z";

    #[test]
    fn parts_of_both_streams_are_joined_for_themselves() {
        let entries = [
            format!("{T} stdout P one "),
            format!("{T} stderr P left "),
            format!("{T} stdout P two "),
            format!("{T} stderr F right"),
            format!("{T} stdout F three"),
        ];
        let (lines, open) = texts(&entries.each_ref().map(String::as_str));
        let expected = [
            (Some(Stream::Stderr), "left right".to_owned()),
            (Some(Stream::Stdout), "one two three".to_owned()),
        ];
        assert_eq!(lines, expected);
        assert!(!open);
    }

    #[test]
    fn an_empty_text_is_a_line_and_an_odd_entry_is_its_raw_text() {
        let empty = format!("{T} stdout F");
        let blank = format!("{T} stdout F ");
        let (lines, _) = texts(&[&empty, &blank, "no entry", "", "2026 stdout F x"]);
        let stdout = (Some(Stream::Stdout), String::new());
        let odd = |text: &str| (None, text.to_owned());
        let expected = [stdout.clone(), stdout, odd("no entry"), odd(""), odd("2026 stdout F x")];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_part_that_nothing_follows_is_given_up() {
        let mut entries = vec![format!("{T} stdout P dangling")];
        entries.resize(MAX_ENTRIES_BETWEEN_PARTS as usize + 2, format!("{T} stderr F other"));
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let (lines, open) = texts(&entries);
        assert!(lines.contains(&(Some(Stream::Stdout), "dangling".to_owned())));
        assert!(!open, "the other stream's progress would wait for ever");
    }

    #[test]
    fn a_joined_line_has_a_longest_length() {
        let mut joiner = Joiner::default();
        let part = Bytes::from(format!("{T} stdout P {}", "x".repeat(16 * 1024)));
        for _ in 0..100 {
            joiner.entry(&part, |_| panic!("no line has ended"));
        }
        let mut lines = Vec::new();
        joiner.flush(|line| lines.push(line));
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text.len(), MAX_JOINED_BYTES);
        assert!(lines[0].cut);
    }

    #[test]
    fn docker_entries_are_read_too() {
        let entry = |log: &str| format!(r#"{{"log":"{log}","stream":"stdout","time":"{T}"}}"#);
        let (lines, _) = texts(&[&entry("a "), &entry(r"b\n")]);
        assert_eq!(lines, [(Some(Stream::Stdout), "a b".to_owned())]);
    }
}

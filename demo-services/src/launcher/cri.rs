//! containerd's log format: one entry a line, `<time> <stream> <P|F> <text>`.
//!
//! As containerd's `redirectLogs` writes it: times are RFC 3339 with nanoseconds whose trailing zeros
//! are left out, a carriage return stays in the text, a line of more than 16 KiB comes in `P` parts of
//! which the last is `F`, and what is left without a newline at the end of a stream is a `P`.

use std::io::Write as _;

use jiff::Timestamp;

/// Longest text of one entry; containerd's `max_container_log_line_size`.
pub(super) const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Which of a container's two outputs a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// Whether an entry ends its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Partial,
    Full,
}

/// Appends one entry, with its newline.
pub(super) fn append_entry(
    out: &mut Vec<u8>,
    time: Timestamp,
    stream: Stream,
    tag: Tag,
    text: &[u8],
) {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    let tag = match tag {
        Tag::Partial => 'P',
        Tag::Full => 'F',
    };
    // A write into memory has nothing to fail with.
    let _ = write!(out, "{time} {stream} {tag} ");
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Cuts what a stream delivers, in chunks of any size, into the texts of entries.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The part of the current line that is not yet an entry: at most `MAX_TEXT_BYTES`.
    held: Vec<u8>,
}

impl Splitter {
    /// Takes the next chunk and emits every entry that it completes.
    pub(super) fn feed(&mut self, chunk: &[u8], mut emit: impl FnMut(Tag, &[u8])) {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => {
                    self.hold(end, &mut emit);
                    emit(Tag::Full, &self.held);
                    self.held.clear();
                }
                None => self.hold(piece, &mut emit),
            }
        }
    }

    /// The stream has ended: emits what has no newline.
    pub(super) fn finish(&mut self, mut emit: impl FnMut(Tag, &[u8])) {
        if !self.held.is_empty() {
            emit(Tag::Partial, &self.held);
            self.held.clear();
        }
    }

    /// A part goes out only when a further byte needs its place, so a line of exactly 16 KiB is one `F`.
    fn hold(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(Tag, &[u8])) {
        while self.held.len() + bytes.len() > MAX_TEXT_BYTES {
            let (fits, rest) = bytes.split_at(MAX_TEXT_BYTES - self.held.len());
            self.held.extend_from_slice(fits);
            emit(Tag::Partial, &self.held);
            self.held.clear();
            bytes = rest;
        }
        self.held.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;

//! Cuts what is read from a file into lines that share the buffer they were read into.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use crate::config::{CutAt, Cutting};

/// The lines of one file, from wherever reading began.
#[derive(Debug)]
pub(super) struct Lines {
    cutting: Cutting,
    /// The beginning of a line whose end has not come yet; of one that is cut off, as much as it may have.
    open: BytesMut,
    /// How much of the file the open line takes, cut off or not.
    open_bytes: u64,
}

/// One line, without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: Bytes,
    /// How much of the file it takes, with its newline.
    pub(super) file_bytes: u64,
    /// Whether its end was cut off.
    pub(super) cut: bool,
}

impl Lines {
    pub(super) fn new(cutting: Cutting) -> Self {
        Self { cutting, open: BytesMut::new(), open_bytes: 0 }
    }

    /// Takes the next bytes of the file and emits every line that they complete.
    pub(super) fn feed(&mut self, chunk: Bytes, mut emit: impl FnMut(Line)) {
        match self.cutting.at {
            CutAt::Newline if self.cutting.splits_long => self.split(chunk, &mut emit),
            CutAt::Newline => self.cut(chunk, &mut emit),
            CutAt::Start { .. } | CutAt::End { .. } => self.search(&chunk, &mut emit),
        }
    }

    /// The line without an end at the end of a file to which nothing will be added, or not in time.
    pub(super) fn finish(&mut self) -> Option<Line> {
        let file_bytes = std::mem::take(&mut self.open_bytes);
        let cut = file_bytes > self.open.len() as u64;
        (file_bytes > 0).then(|| Line { text: self.open.split().freeze(), file_bytes, cut })
    }

    /// What goes beyond the longest line is cut off.
    fn cut(&mut self, mut chunk: Bytes, emit: &mut impl FnMut(Line)) {
        let max = self.cutting.max_bytes;
        while let Some(newline) = memchr(b'\n', &chunk) {
            let piece = chunk.split_to(newline + 1);
            let piece = piece.slice(..newline);
            let whole = if self.open_bytes == 0 {
                piece
            } else {
                self.hold(&piece);
                self.open.split().freeze()
            };
            let file_bytes =
                if self.open_bytes == 0 { newline as u64 + 1 } else { self.open_bytes + 1 };
            self.open_bytes = 0;
            let cut = file_bytes > max as u64 + 1;
            emit(Line { text: whole.slice(..whole.len().min(max)), file_bytes, cut });
        }
        self.hold(&chunk);
    }

    fn hold(&mut self, piece: &[u8]) {
        self.open_bytes += piece.len() as u64;
        let room = self.cutting.max_bytes - self.open.len();
        self.open.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// What goes beyond the longest line is the next one.
    fn split(&mut self, mut chunk: Bytes, emit: &mut impl FnMut(Line)) {
        let max = self.cutting.max_bytes;
        while let Some(newline) = memchr(b'\n', &chunk) {
            let mut piece = chunk.split_to(newline + 1);
            piece.truncate(newline);
            let mut whole = if self.open.is_empty() {
                piece
            } else {
                self.open.extend_from_slice(&piece);
                self.open.split().freeze()
            };
            while whole.len() > max {
                emit(Line { text: whole.split_to(max), file_bytes: max as u64, cut: false });
            }
            let file_bytes = whole.len() as u64 + 1;
            emit(Line { text: whole, file_bytes, cut: false });
        }
        self.open.extend_from_slice(&chunk);
        self.emit_overlong(emit);
    }

    /// Lines that begin or end with a pattern.
    fn search(&mut self, chunk: &[u8], emit: &mut impl FnMut(Line)) {
        self.open.extend_from_slice(chunk);
        while let Some((taken, text)) = self.found() {
            let taken = self.open.split_to(taken).freeze();
            let max = self.cutting.max_bytes;
            let mut text = taken.slice(text);
            let mut file_bytes = taken.len() as u64;
            while text.len() > max {
                emit(Line { text: text.split_to(max), file_bytes: max as u64, cut: false });
                file_bytes -= max as u64;
            }
            emit(Line { text, file_bytes, cut: false });
        }
        self.emit_overlong(emit);
    }

    /// How much of what is open a whole line takes, and which part of that it is.
    fn found(&self) -> Option<(usize, Range<usize>)> {
        match &self.cutting.at {
            CutAt::Newline => None,
            CutAt::Start { pattern, omit } => {
                let first = pattern.find(&self.open)?;
                if first.start() > 0 {
                    return Some((first.start(), 0..first.start()));
                }
                let next = pattern.find_at(&self.open, (first.end() + 1).min(self.open.len()))?;
                let start = if *omit { first.end() } else { 0 };
                Some((next.start(), start..next.start()))
            }
            CutAt::End { pattern, omit } => {
                let found = pattern.find(&self.open)?;
                Some((found.end(), 0..if *omit { found.start() } else { found.end() }))
            }
        }
    }

    fn emit_overlong(&mut self, emit: &mut impl FnMut(Line)) {
        let max = self.cutting.max_bytes;
        while self.open.len() >= max {
            let text = self.open.split_to(max).freeze();
            emit(Line { text, file_bytes: max as u64, cut: false });
        }
        self.open_bytes = self.open.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX_LINE_BYTES: usize = 1024 * 1024;

    fn all(chunks: &[&[u8]]) -> (Vec<Line>, Lines) {
        cut_by(Cutting::default(), chunks)
    }

    fn cut_by(cutting: Cutting, chunks: &[&[u8]]) -> (Vec<Line>, Lines) {
        let (mut lines, mut found) = (Lines::new(cutting), Vec::new());
        for chunk in chunks {
            lines.feed(Bytes::copy_from_slice(chunk), |line| found.push(line));
        }
        (found, lines)
    }

    #[test]
    fn a_line_longer_than_the_limit_is_cut_and_the_next_is_whole() {
        let long = vec![b'x'; MAX_LINE_BYTES + 10];
        let (found, _) = all(&[&long, b"yz\nnext\n"]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].text.len(), found[0].cut), (MAX_LINE_BYTES, true));
        assert_eq!(found[0].file_bytes, long.len() as u64 + 3);
        assert_eq!((&found[1].text[..], found[1].cut), (&b"next"[..], false));
    }

    fn texts(at: CutAt, max_bytes: usize, text: &str) -> Vec<String> {
        let cutting = Cutting { at, max_bytes, splits_long: true, flush_after: None };
        let (mut found, mut rest) = cut_by(cutting, &[text.as_bytes()]);
        found.extend(std::iter::from_fn(|| rest.finish()));
        let sum: u64 = found.iter().map(|line| line.file_bytes).sum();
        assert_eq!(sum, text.len() as u64, "{found:?}");
        found.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    #[test]
    fn lines_begin_or_end_with_a_pattern() {
        let pattern =
            || regex::bytes::RegexBuilder::new("^[0-9]+ ").multi_line(true).build().unwrap();
        let start = |omit| CutAt::Start { pattern: pattern(), omit };
        let text = "head\n1 one\n at a\n22 two\n3 three\n";
        let expected = ["head\n", "1 one\n at a\n", "22 two\n", "3 three\n"];
        assert_eq!(texts(start(false), 100, text), expected);
        assert_eq!(texts(start(true), 100, text)[1..3], ["one\n at a\n", "two\n"]);
        let end = |omit| CutAt::End { pattern: regex::bytes::Regex::new(";;").unwrap(), omit };
        assert_eq!(texts(end(false), 100, "a\nb;;c;;d"), ["a\nb;;", "c;;", "d"]);
        assert_eq!(texts(end(true), 100, "a\nb;;c;;d"), ["a\nb", "c", "d"]);
        assert_eq!(texts(end(true), 3, "abcdefg;;h"), ["abc", "def", "g", "h"]);
    }

    #[test]
    fn the_rest_of_a_long_line_is_the_next_where_nothing_is_cut_off() {
        assert_eq!(
            texts(CutAt::Newline, 4, "abcdefghij\nkl\nmnopq"),
            ["abcd", "efgh", "ij", "kl", "mnop", "q"]
        );
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_a_file_is_read(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..60),
            at in 0_usize..60,
            max_bytes in 1_usize..9,
            splits_long: bool,
        ) {
            let (first, second) = text.split_at(at.min(text.len()));
            let cutting = || Cutting { max_bytes, splits_long, ..Cutting::default() };
            let (whole, mut rest) = cut_by(cutting(), &[&text]);
            let (parts, _) = cut_by(cutting(), &[first, second]);
            // Where a long line is parted depends on when it is seen to be long; what is in it does not.
            let joined = |lines: &[Line]| lines.iter().flat_map(|line| line.text.to_vec()).collect::<Vec<u8>>();
            if !splits_long {
                prop_assert_eq!(&whole, &parts);
            }
            let lines: u64 = whole.iter().map(|line| line.file_bytes).sum();
            let open = rest.finish();
            prop_assert_eq!(lines + open.as_ref().map_or(0, |line| line.file_bytes), text.len() as u64);
            if splits_long {
                let open = open.map_or(Vec::new(), |line| line.text.to_vec());
                let all = [joined(&whole), open].concat();
                let expected: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'\n').collect();
                prop_assert_eq!(all, expected);
            }
        }
    }
}

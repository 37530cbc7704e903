//! Cuts what is read from a file into lines that share the buffer they were read into.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Longest line; what goes beyond is cut off.
pub(super) const MAX_LINE_BYTES: usize = 1024 * 1024;

/// The lines of one file, from wherever reading began.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line whose newline has not come yet, at most `MAX_LINE_BYTES` of it.
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
    /// Takes the next bytes of the file and emits every line that they complete.
    pub(super) fn feed(&mut self, mut chunk: Bytes, mut emit: impl FnMut(Line)) {
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
            let cut = file_bytes > MAX_LINE_BYTES as u64 + 1;
            emit(Line { text: whole.slice(..whole.len().min(MAX_LINE_BYTES)), file_bytes, cut });
        }
        self.hold(&chunk);
    }

    /// The line without a newline at the end of a file to which nothing will be added.
    pub(super) fn finish(&mut self) -> Option<Line> {
        let file_bytes = std::mem::take(&mut self.open_bytes);
        let cut = file_bytes > MAX_LINE_BYTES as u64;
        (file_bytes > 0).then(|| Line { text: self.open.split().freeze(), file_bytes, cut })
    }

    fn hold(&mut self, piece: &[u8]) {
        self.open_bytes += piece.len() as u64;
        let room = MAX_LINE_BYTES - self.open.len();
        self.open.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(chunks: &[&[u8]]) -> (Vec<Line>, Lines) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
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

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_a_file_is_read(
            text in prop::collection::vec(prop::sample::select(b"ab\r\n".to_vec()), 0..60),
            at in 0_usize..60,
        ) {
            let (first, second) = text.split_at(at.min(text.len()));
            let (whole, mut rest) = all(&[&text]);
            let (parts, _) = all(&[first, second]);
            prop_assert_eq!(&whole, &parts);
            let lines: u64 = whole.iter().map(|line| line.file_bytes).sum();
            prop_assert_eq!(lines + rest.finish().map_or(0, |line| line.file_bytes), text.len() as u64);
        }
    }
}

//! The buffer in which a line is made.

/// Where memory is added, so much is added at least.
const GROWTH_BYTES: usize = 1_024;

/// Text in the making. Bytes get in as text or as ASCII, so together they are text.
///
/// It is no `String`, since that would check ASCII of our own making byte by byte. A line is made of a dozen
/// short pieces, so the memory behind the text is kept initialised: a short piece is then a few moves, where
/// appending to a vector would be a call.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// Longer than the text.
    memory: Vec<u8>,
    length: usize,
}

impl Out {
    /// Forgets everything, and the memory beyond `kept_bytes` along with it.
    #[inline]
    pub(crate) fn clear(&mut self, kept_bytes: usize) {
        self.length = 0;
        if self.memory.len() > kept_bytes {
            self.memory.truncate(kept_bytes);
            self.memory.shrink_to_fit();
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(crate) fn push_str(&mut self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    pub(crate) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Appends bytes that are known to be ASCII.
    #[inline]
    pub(crate) fn push_ascii<const BYTES: usize>(&mut self, ascii: &[u8; BYTES]) {
        debug_assert!(ascii.is_ascii());
        if let Some(room) = self.room(BYTES).first_chunk_mut() {
            *room = *ascii;
        }
        self.length += BYTES;
    }

    /// Appends bytes that are known to be ASCII; how many is known only now.
    #[inline]
    pub(crate) fn push_ascii_slice(&mut self, ascii: &[u8]) {
        debug_assert!(ascii.is_ascii());
        self.push_bytes(ascii);
    }

    /// Appends text between two bytes of ASCII.
    #[inline]
    pub(crate) fn push_between(&mut self, before: u8, text: &str, after: u8) {
        debug_assert!(before.is_ascii() && after.is_ascii());
        let bytes = text.as_bytes();
        let room = self.room(bytes.len() + 2);
        if let [first, middle @ .., last] = room {
            *first = before;
            copy(middle, bytes);
            *last = after;
        }
        self.length += bytes.len() + 2;
    }

    /// Takes the last byte away, which has to be one of ASCII.
    pub(crate) fn drop_last(&mut self) {
        debug_assert!(self.as_bytes().last().is_none_or(u8::is_ascii));
        self.length = self.length.saturating_sub(1);
    }

    #[inline]
    fn push_bytes(&mut self, bytes: &[u8]) {
        copy(self.room(bytes.len()), bytes);
        self.length += bytes.len();
    }

    /// The place of the next bytes.
    #[inline]
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.length + bytes;
        if end > self.memory.len() {
            self.grow(end);
        }
        &mut self.memory[self.length..end]
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        self.memory.resize(bytes.max(2 * self.memory.len()).max(GROWTH_BYTES), 0);
    }
}

/// Copies bytes to a place of their length. Up to sixteen are two moves that may overlap.
#[inline]
fn copy(place: &mut [u8], bytes: &[u8]) {
    if bytes.len() > 16 {
        place.copy_from_slice(bytes);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        copy_ends::<8>(place, first, last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        copy_ends::<4>(place, first, last);
    } else {
        place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    }
}

#[inline]
fn copy_ends<const BYTES: usize>(place: &mut [u8], first: &[u8; BYTES], last: &[u8; BYTES]) {
    if let Some(start) = place.first_chunk_mut() {
        *start = *first;
    }
    if let Some(end) = place.last_chunk_mut() {
        *end = *last;
    }
}

impl std::fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_every_length_are_put_one_behind_the_other() {
        let text: String = ('a'..='z').cycle().take(3_000).collect();
        let mut out = Out::default();
        for length in (0..40).chain([100, 2_000]) {
            out.clear(64);
            out.push_ascii(b"<");
            out.push_str(&text[..length]);
            out.push_ascii(b"><");
            out.push_ascii_slice(&text.as_bytes()[1..=length]);
            out.push('ä');
            out.push_between(b' ', &text[..length], b'=');
            let (first, second) = (&text[..length], &text[1..=length]);
            let expected = format!("<{first}><{second}ä {first}=");
            assert_eq!(out.as_str(), expected);
            assert_eq!(out.len(), expected.len());
        }
        out.clear(64);
        assert_eq!((out.len(), out.as_bytes(), out.memory.len()), (0, &[][..], 64));
    }
}

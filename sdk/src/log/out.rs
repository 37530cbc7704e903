//! The buffer in which a line is made.

/// Text in the making. Bytes get in as text or as ASCII, so together they are text.
///
/// It is no `String`, since that would check ASCII of our own making byte by byte. What has a length that is
/// known beforehand is copied by a few moves.
#[derive(Debug, Default)]
pub(crate) struct Out {
    bytes: Vec<u8>,
}

impl Out {
    /// Forgets everything, and the memory beyond `kept_bytes` along with it.
    pub(crate) fn clear(&mut self, kept_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(kept_bytes);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push_str(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Appends bytes that are known to be ASCII.
    #[inline]
    pub(crate) fn push_ascii<const BYTES: usize>(&mut self, ascii: &[u8; BYTES]) {
        debug_assert!(ascii.is_ascii());
        self.bytes.extend_from_slice(ascii);
    }

    /// Appends bytes that are known to be ASCII; how many is known only now.
    pub(crate) fn push_ascii_slice(&mut self, ascii: &[u8]) {
        debug_assert!(ascii.is_ascii());
        self.bytes.extend_from_slice(ascii);
    }
}

impl std::fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

//! A rotated file that the kubelet has gzipped.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::read::MultiGzDecoder;

/// Most that one file is inflated to: a kubelet's file has some ten megabytes, a hostile one has no end.
const MAX_INFLATED_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Reads what a gzipped file holds, from its beginning.
pub(super) struct GzReader {
    inflated: io::Take<MultiGzDecoder<BufReader<File>>>,
}

impl GzReader {
    pub(super) fn new(file: File) -> Self {
        Self { inflated: MultiGzDecoder::new(BufReader::new(file)).take(MAX_INFLATED_BYTES) }
    }

    /// The next `len` bytes, or as many as are left.
    pub(super) fn read_exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Leaves out the next `len` bytes; `false` when there are not so many.
    pub(super) fn skip(&mut self, len: u64) -> io::Result<bool> {
        Ok(io::copy(&mut self.by_ref().take(len), &mut io::sink())? == len)
    }
}

impl Read for GzReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inflated.read(buffer)
    }
}

impl std::fmt::Debug for GzReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GzReader").finish_non_exhaustive()
    }
}

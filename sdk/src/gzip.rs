//! Gzip, for what goes over a connection: quick, since both ends are in a hurry.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Metrics and spans repeat themselves; most come out smaller than this part of what they were.
const USUAL_PART: usize = 4;

pub(crate) fn gzipped(plain: &[u8]) -> Vec<u8> {
    let packed = Vec::with_capacity(plain.len() / USUAL_PART);
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

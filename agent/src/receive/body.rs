//! Reading a request's body: bounded in bytes, in time, and over all requests together.

use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use bytes::{Buf, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{BODY_TIMEOUT, MAX_BYTES_UNDER_WAY};
use super::refusal::Refusal;

/// The bytes that requests may hold while they are read, shared by all of them.
#[derive(Debug)]
pub(super) struct Budget(Arc<Semaphore>);

/// A body that was read in full, and its share of the budget.
#[derive(Debug)]
pub(super) struct ReadBody {
    bytes: BytesMut,
    _share: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BYTES_UNDER_WAY)))
    }

    /// Reads `body` to its end, if that comes before `most` bytes.
    pub(super) async fn read(&self, body: Body, most: usize) -> Result<ReadBody, Refusal> {
        // Said beforehand: refused before a byte is read.
        if body.size_hint().lower() > most as u64 {
            return Err(Refusal::BodyTooLarge(most));
        }
        timeout(BODY_TIMEOUT, self.read_frames(body, most))
            .await
            .unwrap_or(Err(Refusal::Incomplete))
    }

    async fn read_frames(&self, mut body: Body, most: usize) -> Result<ReadBody, Refusal> {
        let mut read = ReadBody { bytes: BytesMut::new(), _share: None };
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Incomplete)?.into_data() else { continue };
            if read.bytes.len() + data.len() > most {
                return Err(Refusal::BodyTooLarge(most));
            }
            let more = u32::try_from(data.len()).map_err(|_| Refusal::BodyTooLarge(most))?;
            let more =
                Arc::clone(&self.0).try_acquire_many_owned(more).map_err(|_| Refusal::Busy)?;
            match &mut read._share {
                Some(share) => share.merge(more),
                none => *none = Some(more),
            }
            read.bytes.extend_from_slice(&data);
        }
        Ok(read)
    }
}

impl ReadBody {
    /// Without its first `count` bytes.
    pub(super) fn skip(mut self, count: usize) -> Self {
        self.bytes.advance(count);
        self
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

/// Decompresses `gzip`, which may hold several members, up to `most` bytes.
pub(super) fn gunzip(gzip: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(gzip)
        .take(most as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| Refusal::Malformed(format!("not gzip: {error}")))?;
    if plain.len() > most {
        return Err(Refusal::BodyTooLarge(most));
    }
    Ok(plain)
}

//! What a sender may make the agent hold.

use std::time::Duration;

/// Bytes of one request's body, before and after decompression, unless the configuration says something else.
pub(super) const USUAL_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that one request may take once it is decoded, as [`super::scan`] reckons them. Empty
/// spans take two bytes each on the wire and two hundred and fifty in memory.
pub(super) const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of bodies that are being read at one time, over all connections.
pub(super) const MAX_BYTES_UNDER_WAY: usize = 64 * 1024 * 1024;

/// Large bodies that are unzipped and decoded at one time: what they take before it is reckoned
/// and queued is bounded by their number.
pub(super) const MAX_DECODING: usize = 4;

/// Bodies up to this size, if not zipped, are decoded without waiting for a turn.
pub(super) const MAX_INLINE_BYTES: usize = 64 * 1024;

/// How long a sender may take for the body of a request.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// When a sender that was turned away for want of room should come back.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

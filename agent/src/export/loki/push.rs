//! The messages of Loki's push API, and the bodies made of them: protobuf, compressed as one snappy block.

use prost::Message;

/// What is pushed.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) streams: Vec<PushedStream>,
}

/// Lines with the same labels.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushedStream {
    #[prost(string, tag = "1")]
    pub(super) labels: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<PushedEntry>,
}

/// A line.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PushedEntry {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub(super) line: String,
}

/// Time since 1970.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl Timestamp {
    pub(super) fn from_unix_nanos(nanos: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        // 2^64 nanoseconds are 585 years, and what is left of a second fits as well.
        let seconds = i64::try_from(nanos / SECOND).unwrap_or(i64::MAX);
        Self { seconds, nanos: i32::try_from(nanos % SECOND).unwrap_or_default() }
    }
}

/// The body of a push.
///
/// # Errors
/// When it is larger than snappy can compress: 4 GiB.
pub(super) fn body(request: &PushRequest) -> Result<Vec<u8>, snap::Error> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec())
}

//! Why a request is refused: one list, told in both protocols' words.

use std::fmt;

use http::StatusCode;
use tonic::Code;

use super::limits::{MAX_DECODED_BYTES, RETRY_AFTER};
use crate::rpc_status::RpcStatus;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The body is larger than this limit, as sent or decompressed.
    BodyTooLarge(usize),
    /// The body would take too much memory when decoded.
    DecodedTooLarge,
    /// The body is not what its content type says.
    Malformed(String),
    /// The `Content-Type` is none of OTLP's.
    ContentType,
    /// The `Content-Encoding`, or gRPC's, is not understood.
    Encoding,
    /// The sender went away or was too slow.
    Incomplete,
    /// Too many bytes of other requests are being read.
    Busy,
    /// The queue of an exporter has no room.
    QueueFull,
}

impl Refusal {
    /// The HTTP status.
    pub(super) fn http(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge(_) | Self::DecodedTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::ContentType | Self::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::QueueFull => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The gRPC code. What is too large is an invalid argument, because senders try the codes that
    /// gRPC itself has for it (`OUT_OF_RANGE`, `RESOURCE_EXHAUSTED`) again, for ever.
    pub(super) fn grpc(&self) -> Code {
        match self {
            Self::BodyTooLarge(_) | Self::DecodedTooLarge | Self::Malformed(_) => {
                Code::InvalidArgument
            }
            Self::ContentType | Self::Encoding => Code::Unimplemented,
            Self::Incomplete => Code::Cancelled,
            Self::Busy | Self::QueueFull => Code::Unavailable,
        }
    }

    /// Whether the same request may pass later.
    pub(super) fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy | Self::QueueFull)
    }

    /// The reason by which it is counted.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::BodyTooLarge(_) => "body_too_large",
            Self::DecodedTooLarge => "decoded_too_large",
            Self::Malformed(_) => "malformed",
            Self::ContentType => "content_type",
            Self::Encoding => "encoding",
            Self::Incomplete => "incomplete",
            Self::Busy => "busy",
            Self::QueueFull => "queue_full",
        }
    }
}

impl From<&Refusal> for RpcStatus {
    fn from(refusal: &Refusal) -> Self {
        let status = Self::new(refusal.grpc(), &refusal.to_string());
        if refusal.is_retryable() { status.with_retry_after(RETRY_AFTER) } else { status }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLarge(most) => write!(
                f,
                "the body is larger than {most} bytes, as sent or decompressed; send \
                 smaller batches"
            ),
            Self::DecodedTooLarge => write!(
                f,
                "the body would take more than {MAX_DECODED_BYTES} bytes of memory; send smaller \
                 batches"
            ),
            Self::Malformed(why) => write!(f, "the body cannot be decoded: {why}"),
            Self::ContentType => f.write_str(
                "the content type is not one of OTLP's; send application/x-protobuf or \
                 application/json over HTTP, application/grpc over gRPC",
            ),
            Self::Encoding => {
                f.write_str("the body's encoding is not supported; send it plain or with gzip")
            }
            Self::Incomplete => f.write_str("the body did not arrive in full, or not in time"),
            Self::Busy => f.write_str("too many requests are being read; try again"),
            Self::QueueFull => f.write_str("the queue of an exporter is full; try again"),
        }
    }
}

impl std::error::Error for Refusal {}

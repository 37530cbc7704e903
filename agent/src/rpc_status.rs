//! `google.rpc.Status`: the body of an OTLP/HTTP error, and the details of a gRPC one; in both directions.

use std::time::Duration;

use prost::Message;
use serde::Serialize;
use tonic::Code;

/// The message of that name.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct RpcStatus {
    /// A gRPC code.
    #[prost(int32, tag = "1")]
    code: i32,
    /// For the developer who sees it.
    #[prost(string, tag = "2")]
    message: String,
    /// A [`RetryInfo`], where trying again makes sense.
    #[prost(message, repeated, tag = "3")]
    #[serde(skip)]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl RpcStatus {
    /// A status without details.
    pub(crate) fn new(code: Code, message: &str) -> Self {
        Self { code: code as i32, message: message.to_owned(), details: Vec::new() }
    }

    /// The same, and that it is worth trying again after `delay`.
    pub(crate) fn with_retry_after(mut self, delay: Duration) -> Self {
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or(0);
        let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
        self.details.push(Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: info.encode_to_vec(),
        });
        self
    }

    /// How long the sender of an encoded status asks to be left alone.
    pub(crate) fn retry_after(encoded: &[u8]) -> Option<Duration> {
        let details = Self::decode(encoded).ok()?.details;
        let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
        let seconds = Duration::from_secs(u64::try_from(delay.seconds).ok()?);
        Some(seconds + Duration::from_nanos(u64::try_from(delay.nanos).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_found_among_the_details() {
        let status = || RpcStatus::new(Code::Unavailable, "full");
        let delay = Duration::from_millis(3_500);
        let mut several = status();
        several.details.push(Any { type_url: "t/google.rpc.DebugInfo".to_owned(), value: vec![1] });
        let encoded = several.with_retry_after(delay).encode_to_vec();
        assert_eq!(RpcStatus::retry_after(&encoded), Some(delay));
        assert_eq!(RpcStatus::retry_after(&status().encode_to_vec()), None);
        assert_eq!(RpcStatus::retry_after(b""), None);
    }

    #[test]
    fn a_delay_that_is_none_is_not_obeyed() {
        for (seconds, nanos) in [(-3, 0), (0, -1)] {
            let info = RetryInfo { retry_delay: Some(Delay { seconds, nanos }) };
            let type_url = "t/google.rpc.RetryInfo".to_owned();
            let mut status = RpcStatus::new(Code::Unavailable, "full");
            status.details.push(Any { type_url, value: info.encode_to_vec() });
            assert_eq!(RpcStatus::retry_after(&status.encode_to_vec()), None);
        }
    }
}

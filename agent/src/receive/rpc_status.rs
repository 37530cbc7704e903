//! `google.rpc.Status`: the body of an OTLP/HTTP error, and the details of a gRPC one.

use prost::Message;
use serde::Serialize;
use tonic::Code;

use super::limits::RETRY_AFTER;
use super::refusal::Refusal;

/// The message of that name.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct RpcStatus {
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
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

impl RpcStatus {
    /// A status without details.
    pub(super) fn new(code: Code, message: &str) -> Self {
        Self { code: code as i32, message: message.to_owned(), details: Vec::new() }
    }
}

impl From<&Refusal> for RpcStatus {
    fn from(refusal: &Refusal) -> Self {
        let retry = refusal.is_retryable().then(|| {
            let seconds = i64::try_from(RETRY_AFTER.as_secs()).unwrap_or(i64::MAX);
            let info = RetryInfo { retry_delay: Some(Duration { seconds }) };
            Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: info.encode_to_vec(),
            }
        });
        let status = Self::new(refusal.grpc(), &refusal.to_string());
        Self { details: retry.into_iter().collect(), ..status }
    }
}

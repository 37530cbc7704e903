//! How long a gRPC server asks to be left alone: `google.rpc.RetryInfo` among the details of its status.

use std::time::Duration;

use prost::Message;
use tonic::Status;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
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
    retry_delay: Option<RetryDelay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct RetryDelay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

pub(super) fn asked_for(status: &Status) -> Option<Duration> {
    let details = RpcStatus::decode(status.details()).ok()?.details;
    let info = details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    let seconds = Duration::from_secs(u64::try_from(delay.seconds).ok()?);
    Some(seconds + Duration::from_nanos(u64::try_from(delay.nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn the_delay_is_found_among_the_details() {
        let of = |seconds, nanos| {
            let info = RetryInfo { retry_delay: Some(RetryDelay { seconds, nanos }) };
            let any = |name: &str, value| Any { type_url: format!("t/{name}"), value };
            let details = vec![
                any("google.rpc.DebugInfo", vec![1]),
                any("google.rpc.RetryInfo", info.encode_to_vec()),
            ];
            let details = RpcStatus { details }.encode_to_vec();
            asked_for(&Status::with_details(Code::Unavailable, "full", details.into()))
        };
        assert_eq!(of(3, 500_000_000), Some(Duration::from_millis(3_500)));
        assert_eq!(of(-3, 0), None);
        assert_eq!(asked_for(&Status::unavailable("full")), None);
    }
}

//! OTLP over gRPC.
//!
//! The request is encoded already, so the call is made with a codec that leaves it as it is.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use http::Uri;
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::connect::{Connector, Distrust};
use super::{Answer, MAX_ANSWER_BYTES, Sender};
use crate::config::OtlpConfig;
use crate::otlp_signal::Signal;
use readable::Readable;

mod readable;

/// An idle connection is asked for a sign of life this often, so that a receiver that went away without
/// a word is noticed before the next batch.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long that sign may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Grpc {
    signal: Signal,
    endpoint: Endpoint,
    connector: Connector,
    /// Made on the exporter's own runtime, with the first batch.
    channel: std::sync::OnceLock<Channel>,
    metadata: MetadataMap,
    gzip: bool,
}

impl Grpc {
    pub(super) fn new(config: &OtlpConfig) -> Self {
        let uri = config.endpoint.uri.clone();
        // Where another crate turns on tonic's own TLS, it takes https for its own business; ours is made by
        // the connector, and requests name the scheme all the same.
        let endpoint = Endpoint::from(without_tls(&uri))
            .origin(uri)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let endpoint = match endpoint.clone().user_agent(super::USER_AGENT) {
            Ok(named) => named,
            Err(_) => endpoint,
        };
        let metadata = MetadataMap::from_headers(config.headers.iter().cloned().collect());
        Self {
            signal: config.signal,
            endpoint,
            connector: Connector::new(config, b"h2"),
            channel: std::sync::OnceLock::new(),
            metadata,
            gzip: config.gzip,
        }
    }

    fn connect(&self) -> Channel {
        self.endpoint.connect_with_connector_lazy(self.connector.clone())
    }
}

/// The same address as http, with the port that https has by default.
fn without_tls(uri: &Uri) -> Uri {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(default);
    format!("http://{host}:{port}").parse().unwrap_or_else(|_| uri.clone())
}

impl Sender for Grpc {
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let channel = self.channel.get_or_init(|| self.connect()).clone();
        let distrust = self.connector.distrust();
        let mut client =
            tonic::client::Grpc::new(Readable(channel)).max_decoding_message_size(MAX_ANSWER_BYTES);
        if self.gzip {
            // A server may answer as it was asked: the Collector does.
            client = client
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip);
        }
        let mut request = Request::new(request);
        *request.metadata_mut() = self.metadata.clone();
        let method = self.signal.grpc_method();
        Box::pin(async move {
            if let Err(error) = client.ready().await {
                return Answer::none(&distrust, &error);
            }
            let path = http::uri::PathAndQuery::from_static(method);
            match client.unary(request, path, Bare).await {
                Ok(response) => Answer::taken(response.into_inner()),
                Err(status) => answer(&status, &distrust),
            }
        })
    }
}

fn answer(status: &Status, distrust: &Distrust) -> Answer {
    // With a source, the connection broke, and the receiver has said nothing.
    if let Some(error) = std::error::Error::source(status) {
        return Answer::none(distrust, error);
    }
    // Tonic's words for a message that is longer than a limit, ours or the receiver's.
    if status.code() == Code::OutOfRange && status.message().contains("message length too large") {
        let ours = format!("limit is: {MAX_ANSWER_BYTES} bytes");
        if status.message().contains(&ours) {
            // There was an answer, so the request was taken; how it ends is not read.
            return Answer::Taken { rejected: 0, message: String::new() };
        }
        // Sent again, the request is as long as before.
        let why = format!("the request is too long for the receiver: {}", status.message());
        return Answer::Refused { why };
    }
    let wait = retry_delay(status.details());
    let why = format!("the receiver answered {:?}: {}", status.code(), status.message());
    match status.code() {
        // Those that OTLP lists.
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Answer::Later { wait, why },
        // Exhausted for good, unless the receiver says when it is not.
        Code::ResourceExhausted if wait.is_some() => Answer::Later { wait, why },
        Code::Unauthenticated | Code::PermissionDenied => Answer::refused(&why, true),
        _ => Answer::refused(&why, false),
    }
}

/// `google.rpc.RetryInfo` in the details of a status.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    let nanos = u32::try_from(delay.nanos).ok()?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, nanos.min(999_999_999)))
}

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Messages as bytes, both ways.
struct Bare;

impl Codec for Bare {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_long_is_not_sent_again() {
        let told = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let answer = answer(&Status::out_of_range(told), &Distrust::default());
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    }

    #[test]
    fn exhausted_is_final_unless_a_delay_is_told() {
        let bare = Status::resource_exhausted("quota");
        assert!(matches!(answer(&bare, &Distrust::default()), Answer::Refused { .. }));

        let info = RetryInfo { retry_delay: Some(ProtoDuration { seconds: 2, nanos: 5 }) };
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        let any = Any { type_url, value: info.encode_to_vec() };
        let details = RpcStatus { details: vec![any] }.encode_to_vec();
        let told = Status::with_details(Code::ResourceExhausted, "quota", details.into());
        let wait = Some(Duration::new(2, 5));
        assert!(
            matches!(answer(&told, &Distrust::default()), Answer::Later { wait: told, .. } if told == wait)
        );
    }
}

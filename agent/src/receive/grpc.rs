//! OTLP/gRPC: three unary calls, plain or with gzip.
//!
//! The framing is ours rather than tonic's server, which decompresses and decodes a message before
//! anyone can reckon what it will take (`scan.rs`), and answers a large one with `OUT_OF_RANGE`,
//! which OTLP's senders try again for ever. Status and codes are tonic's.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::Status;

use super::body::ReadBody;
use super::decode::Format;
use super::intake::{Entry, Intake, Wire};
use super::refusal::Refusal;
use super::signal::{Logs, Metrics, Signal, Traces};
use crate::config;
use crate::rpc_status::RpcStatus;

const TRANSPORT: &str = "grpc";
/// A byte that says whether the message is compressed, and four for its length.
const FRAME_HEADER_BYTES: usize = 5;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip");

pub(super) fn router(entry: Entry, signals: &[config::Signal]) -> Router {
    let route = |router: Router<Entry>, signal: &config::Signal| match signal {
        config::Signal::Traces => router.route(Traces::GRPC_PATH, post(export::<Traces>)),
        config::Signal::Metrics => router.route(Metrics::GRPC_PATH, post(export::<Metrics>)),
        config::Signal::Logs => router.route(Logs::GRPC_PATH, post(export::<Logs>)),
    };
    signals.iter().fold(Router::new(), route).fallback(unimplemented).with_state(entry)
}

async fn export<S: Signal>(State(entry): State<Entry>, request: Request) -> Response {
    let Entry { intake, max_body_bytes } = entry;
    let (head, body) = request.into_parts();
    if !is_grpc(&head.headers) {
        intake.refused::<S>(TRANSPORT, &Refusal::ContentType);
        // Who does not speak gRPC would not find a gRPC status.
        let message = Refusal::ContentType.to_string();
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
    }
    let answer = match intake.budget.read(body, max_body_bytes).await {
        Ok(body) => take::<S>(&intake, &head.headers, body, max_body_bytes).await,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(message) => success(&message),
        Err(refusal) => {
            intake.refused::<S>(TRANSPORT, &refusal);
            failure(&refusal)
        }
    }
}

async fn take<S: Signal>(
    intake: &Intake,
    headers: &HeaderMap,
    body: ReadBody,
    max_body_bytes: usize,
) -> Result<S::Response, Refusal> {
    let gzip = match headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes) {
        _ if !is_compressed(body.as_slice())? => false,
        Some(b"gzip") => true,
        _ => return Err(Refusal::Encoding),
    };
    let wire = Wire { transport: TRANSPORT, format: Format::Protobuf, gzip, max_body_bytes };
    intake.take::<S>(wire, body.skip(FRAME_HEADER_BYTES)).await
}

/// What the header of the one frame of a unary call says, after a look at its length.
fn is_compressed(body: &[u8]) -> Result<bool, Refusal> {
    match body.split_first_chunk::<FRAME_HEADER_BYTES>() {
        Some((&[flag @ 0..=1, ref length @ ..], message))
            if message.len() == u32::from_be_bytes(*length) as usize =>
        {
            Ok(flag == 1)
        }
        _ => Err(Refusal::Malformed("not one gRPC message".to_owned())),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    match content_type.strip_prefix(b"application/grpc") {
        Some([] | [b';', ..]) => true,
        Some(subtype) => subtype.starts_with(b"+proto"),
        None => false,
    }
}

fn success(message: &impl Message) -> Response {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + length);
    frame.put_u8(0);
    // An answer is a few bytes.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::<Bytes>::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn failure(refusal: &Refusal) -> Response {
    let details = RpcStatus::from(refusal).encode_to_vec();
    let status = Status::with_details(refusal.grpc(), refusal.to_string(), details.into());
    let mut response: Response = status.into_http();
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    response
}

/// Who is not let in is told so, in the words of whatever they speak.
pub(crate) fn denied(headers: &HeaderMap, message: &str) -> Response {
    if is_grpc(headers) {
        Status::unauthenticated(message).into_http()
    } else {
        (StatusCode::UNAUTHORIZED, message.to_owned()).into_response()
    }
}

async fn unimplemented() -> Response {
    let message = "only the export services of OTLP are here, of each signal for which the agent has a pipeline";
    Status::unimplemented(message).into_http()
}

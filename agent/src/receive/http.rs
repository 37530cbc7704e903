//! OTLP over HTTP: protobuf and JSON, plain and gzip.

use std::io::Read;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::scan::decoded_bytes;
use super::signal::Signal;
use super::{Decoded, Intake, MAX_BODY_BYTES, MAX_DECODED_BYTES, Refusal};

const TRANSPORT: &str = "http";
/// What a sender is told to wait when the queue is full.
const RETRY_AFTER_SECONDS: &str = "1";
/// The least that an object of OTLP/JSON becomes in memory, for the same reason as in `scan`.
const JSON_OBJECT_BYTES: usize = 256;
/// A body with `null`s is decoded by way of a tree, which takes much more memory than the body.
const MAX_JSON_TREE_BYTES: usize = 1024 * 1024;

/// The three export paths.
pub fn router(intake: Intake) -> Router {
    Router::new()
        .route(ExportTraceServiceRequest::HTTP_PATH, post(export::<ExportTraceServiceRequest>))
        .route(ExportLogsServiceRequest::HTTP_PATH, post(export::<ExportLogsServiceRequest>))
        .route(ExportMetricsServiceRequest::HTTP_PATH, post(export::<ExportMetricsServiceRequest>))
        .with_state(intake)
}

async fn export<S: Signal>(State(intake): State<Intake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some(encoding) = Encoding::of(&parts.headers) else {
        let what = "content-type must be application/x-protobuf or application/json";
        return refused(Encoding::Json, StatusCode::UNSUPPORTED_MEDIA_TYPE, 3, what);
    };
    let gzip = match parts.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity" | b"") => false,
        Some(b"gzip") => true,
        Some(_) => {
            let what = "content-encoding must be gzip or identity";
            return refused(encoding, StatusCode::UNSUPPORTED_MEDIA_TYPE, 3, what);
        }
    };
    let taken = async {
        let body = read(body).await?;
        let decoded = intake.decode(move || {
            let body = if gzip { gunzip(&body)?.into() } else { body };
            match encoding {
                Encoding::Protobuf => decode_protobuf::<S>(&body),
                Encoding::Json => decode_json::<S>(&body),
            }
        });
        intake.take(decoded.await?, TRANSPORT)
    };
    match taken.await {
        Ok(rejected) => encoding.answer(StatusCode::OK, &S::answer(rejected)),
        Err(refusal) => {
            intake.count_refusal(S::NAME, TRANSPORT, &refusal);
            // The second figure is gRPC's code for the same thing, which the body carries.
            let (status, code) = match refusal {
                Refusal::Malformed(_) => (StatusCode::BAD_REQUEST, 3),
                Refusal::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, 3),
                Refusal::Full => (StatusCode::TOO_MANY_REQUESTS, 14),
                Refusal::Stopping => (StatusCode::SERVICE_UNAVAILABLE, 14),
            };
            refused(encoding, status, code, &refusal.to_string())
        }
    }
}

/// What a body is written in, and so the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim();
        if media_type.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if media_type.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    fn answer<M: Message + serde::Serialize>(self, status: StatusCode, message: &M) -> Response {
        let (content_type, body) = match self {
            Self::Protobuf => ("application/x-protobuf", message.encode_to_vec()),
            Self::Json => ("application/json", serde_json::to_vec(message).unwrap_or_default()),
        };
        (status, [(CONTENT_TYPE, content_type)], body).into_response()
    }
}

/// `google.rpc.Status`, the body that OTLP wants of every refusal.
#[derive(Clone, PartialEq, Message, serde::Serialize)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn refused(encoding: Encoding, status: StatusCode, code: i32, message: &str) -> Response {
    let body = RpcStatus { code, message: message.to_owned() };
    let mut response = encoding.answer(status, &body);
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large("the body")),
        Err(error) => Err(Refusal::Malformed(format!("the body ended early: {error}"))),
    }
}

fn gunzip(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    let mut limited = flate2::read::MultiGzDecoder::new(body).take(MAX_BODY_BYTES as u64 + 1);
    match limited.read_to_end(&mut unpacked) {
        Err(error) => Err(Refusal::Malformed(format!("the body is not gzip: {error}"))),
        Ok(_) if unpacked.len() > MAX_BODY_BYTES => Err(too_large("the unpacked body")),
        Ok(_) => Ok(unpacked),
    }
}

/// Decodes a protobuf message whose cost was looked at first.
pub(super) fn decode_protobuf<S: Signal>(body: &[u8]) -> Result<Decoded, Refusal> {
    let size_bytes = decoded_bytes(body, S::SHAPE)
        .ok_or_else(|| Refusal::Malformed(format!("it is no protobuf message of {}", S::NAME)))?;
    check_cost(size_bytes)?;
    let request = S::decode(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    Ok(decoded(request, size_bytes))
}

fn decode_json<S: Signal>(body: &[u8]) -> Result<Decoded, Refusal> {
    let objects = memchr::memchr_iter(b'{', body).count();
    let size_bytes = body.len() + objects * JSON_OBJECT_BYTES;
    check_cost(size_bytes)?;
    let malformed = |error: serde_json::Error| Refusal::Malformed(error.to_string());
    let request = match serde_json::from_slice::<S>(body) {
        Ok(request) => request,
        // Some senders write what they do not have as null, which JSON's mapping of protobuf allows
        // and the generated types refuse.
        Err(_) if body.len() <= MAX_JSON_TREE_BYTES && has_null(body) => {
            let mut tree = serde_json::from_slice(body).map_err(malformed)?;
            remove_nulls(&mut tree);
            serde_json::from_value(tree).map_err(malformed)?
        }
        Err(error) => return Err(malformed(error)),
    };
    Ok(decoded(request, size_bytes))
}

fn has_null(body: &[u8]) -> bool {
    memchr::memmem::find(body, b"null").is_some()
}

fn remove_nulls(tree: &mut serde_json::Value) {
    match tree {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

fn decoded<S: Signal>(request: S, size_bytes: usize) -> Decoded {
    let (batch, rejected) = request.into_batch();
    Decoded { batch, size_bytes, rejected }
}

fn check_cost(size_bytes: usize) -> Result<(), Refusal> {
    if size_bytes <= MAX_DECODED_BYTES {
        return Ok(());
    }
    Err(Refusal::TooLarge(format!(
        "the request would take {size_bytes} bytes of memory, over the {MAX_DECODED_BYTES} that one may"
    )))
}

fn too_large(what: &str) -> Refusal {
    Refusal::TooLarge(format!("{what} is over {MAX_BODY_BYTES} bytes"))
}

//! OTLP/HTTP: protobuf and JSON, plain or with gzip. Errors are `google.rpc.Status`, in the format
//! of the request.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost::Message;
use serde::Serialize;
use tonic::Code;

use super::decode::Format;
use super::intake::{Entry, Wire};
use super::json;
use super::limits;
use super::refusal::Refusal;
use super::signal::{Logs, Metrics, Signal, Traces};
use crate::config;
use crate::rpc_status::RpcStatus;

const TRANSPORT: &str = "http";

pub(super) fn router(entry: Entry, signals: &[config::Signal]) -> Router {
    let route = |router: Router<Entry>, signal: &config::Signal| match signal {
        config::Signal::Traces => router.route(Traces::HTTP_PATH, post(export::<Traces>)),
        config::Signal::Metrics => router.route(Metrics::HTTP_PATH, post(export::<Metrics>)),
        config::Signal::Logs => router.route(Logs::HTTP_PATH, post(export::<Logs>)),
    };
    signals
        .iter()
        .fold(Router::new(), route)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(entry)
}

async fn export<S: Signal>(State(entry): State<Entry>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let format = format(&head.headers);
    match answer::<S>(&entry, format, &head.headers, body).await {
        Ok((format, message)) => encode(StatusCode::OK, format, &message),
        Err(refusal) => {
            entry.intake.refused::<S>(TRANSPORT, &refusal);
            let status = RpcStatus::from(&refusal);
            let mut response = encode(refusal.http(), format.unwrap_or(Format::Json), &status);
            if refusal.is_retryable() {
                let seconds = HeaderValue::from(limits::RETRY_AFTER.as_secs());
                response.headers_mut().insert(RETRY_AFTER, seconds);
            }
            response
        }
    }
}

async fn answer<S: Signal>(
    entry: &Entry,
    format: Option<Format>,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Format, S::Response), Refusal> {
    let format = format.ok_or(Refusal::ContentType)?;
    let gzip = match text(headers, CONTENT_ENCODING).to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" => true,
        _ => return Err(Refusal::Encoding),
    };
    let Entry { intake, max_body_bytes } = entry;
    let body = intake.budget.read(body, *max_body_bytes).await?;
    let wire = Wire { transport: TRANSPORT, format, gzip, max_body_bytes: *max_body_bytes };
    Ok((format, intake.take::<S>(wire, body).await?))
}

/// Who is not let in is told so.
pub(crate) fn denied(headers: &HeaderMap, message: &str) -> Response {
    let body = RpcStatus::new(Code::Unauthenticated, message);
    encode(StatusCode::UNAUTHORIZED, format(headers).unwrap_or(Format::Json), &body)
}

async fn method_not_allowed(headers: HeaderMap) -> Response {
    let message = "only POST is answered here";
    plain_error(StatusCode::METHOD_NOT_ALLOWED, &headers, message)
}

async fn not_found(headers: HeaderMap) -> Response {
    let message = "there is nothing here; OTLP goes to /v1/traces, /v1/metrics and /v1/logs, to each of them \
         for which the agent has a pipeline";
    plain_error(StatusCode::NOT_FOUND, &headers, message)
}

fn plain_error(status: StatusCode, headers: &HeaderMap, message: &str) -> Response {
    let body = RpcStatus::new(Code::Unimplemented, message);
    encode(status, format(headers).unwrap_or(Format::Json), &body)
}

fn format(headers: &HeaderMap) -> Option<Format> {
    let media_type = text(headers, CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/x-protobuf" => Some(Format::Protobuf),
        "application/json" => Some(Format::Json),
        _ => None,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn encode(status: StatusCode, format: Format, message: &(impl Message + Serialize)) -> Response {
    let (content_type, body) = match format {
        Format::Protobuf => ("application/x-protobuf", message.encode_to_vec()),
        Format::Json => ("application/json", json::to_vec(message)),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

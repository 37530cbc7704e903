//! OTLP over gRPC.
//!
//! The generated servers decode before anybody can look; so the three methods are served with a codec of
//! ours, which hands the message over as bytes.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};

use super::http::decode_protobuf;
use super::signal::Signal;
use super::{Intake, MAX_BODY_BYTES, Refusal};

const TRANSPORT: &str = "grpc";

/// The three export methods; anything else is unimplemented.
pub fn router(intake: Intake) -> Router {
    Router::new()
        .route(ExportTraceServiceRequest::GRPC_PATH, post(export::<ExportTraceServiceRequest>))
        .route(ExportLogsServiceRequest::GRPC_PATH, post(export::<ExportLogsServiceRequest>))
        .route(ExportMetricsServiceRequest::GRPC_PATH, post(export::<ExportMetricsServiceRequest>))
        .fallback(unimplemented_method)
        .with_state(intake)
}

async fn export<S: Signal>(State(intake): State<Intake>, request: Request) -> Response {
    let counted = intake.clone();
    let response = Grpc::new(Bare)
        .accept_compressed(CompressionEncoding::Gzip)
        .apply_max_message_size_config(Some(MAX_BODY_BYTES), None)
        .unary(Export::<S> { intake, signal: std::marker::PhantomData }, request)
        .await;
    let mut response = response.map(axum::body::Body::new);
    // tonic says OUT_OF_RANGE of a message that is too large, which OTLP's senders would try again.
    let status = response.headers().get("grpc-status");
    if status.is_some_and(|status| status.as_bytes() == b"11") {
        counted.count_refusal(S::NAME, TRANSPORT, &Refusal::TooLarge(String::new()));
        let code = http::HeaderValue::from(Code::InvalidArgument as i32);
        response.headers_mut().insert("grpc-status", code);
    }
    response
}

async fn unimplemented_method() -> Result<Response, Infallible> {
    let status = Status::unimplemented("this port takes OTLP: TraceService, LogsService, MetricsService");
    Ok(status.into_http::<axum::body::Body>())
}

struct Export<S> {
    intake: Intake,
    signal: std::marker::PhantomData<S>,
}

impl<S: Signal> UnaryService<Bytes> for Export<S> {
    type Response = Bytes;
    type Future = std::pin::Pin<
        Box<dyn Future<Output = Result<tonic::Response<Bytes>, Status>> + Send + 'static>,
    >;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let intake = self.intake.clone();
        Box::pin(async move {
            let message = request.into_inner();
            let decoded = intake.decode(move || decode_protobuf::<S>(&message)).await;
            match decoded.and_then(|decoded| intake.take(decoded, TRANSPORT)) {
                Ok(rejected) => {
                    let answer = S::answer(rejected).encode_to_vec();
                    Ok(tonic::Response::new(answer.into()))
                }
                Err(refusal) => {
                    intake.count_refusal(S::NAME, TRANSPORT, &refusal);
                    Err(status_of(&refusal))
                }
            }
        })
    }
}

/// Which of OTLP's answers stands for a refusal: `UNAVAILABLE` is sent again, the others are not.
fn status_of(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Malformed(_) | Refusal::TooLarge(_) => Code::InvalidArgument,
        Refusal::Full | Refusal::Stopping => Code::Unavailable,
    };
    Status::new(code, refusal.to_string())
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

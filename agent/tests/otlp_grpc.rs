//! OTLP/gRPC as a stock tonic client sees it.

#[cfg(test)]
#[path = "otlp/receiver.rs"]
#[allow(dead_code, reason = "shared with the HTTP tests, which use other parts of it")]
mod receiver;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::Span;
use receiver::{Receiver, span, span_names, traces};
use tonic::Code;
use tonic::codec::CompressionEncoding;

#[tokio::test]
async fn spans_are_taken_plain_and_zipped_on_one_connection() {
    let receiver = Receiver::start().await;
    let channel = receiver.channel().await;
    let mut plain = TraceServiceClient::new(channel.clone());
    let answer = plain.export(traces(vec![span("plain")])).await.unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    let mut zipped = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    zipped.export(traces(vec![span("zipped")])).await.unwrap();
    assert_eq!(span_names(&receiver.batches()), ["plain", "zipped"]);
}

#[tokio::test]
async fn logs_and_metrics_have_their_services() {
    let receiver = Receiver::start().await;
    let channel = receiver.channel().await;
    LogsServiceClient::new(channel.clone())
        .export(ExportLogsServiceRequest::default())
        .await
        .unwrap();
    MetricsServiceClient::new(channel)
        .export(ExportMetricsServiceRequest::default())
        .await
        .unwrap();
    assert!(receiver.batches().is_empty(), "an empty request is no batch");
}

#[tokio::test]
async fn spans_without_valid_ids_are_reported_as_rejected() {
    let receiver = Receiver::start().await;
    let mut client = TraceServiceClient::new(receiver.channel().await);
    let invalid = Span { span_id: Vec::new(), ..span("lost") };
    let answer = client.export(traces(vec![invalid, span("kept")])).await.unwrap();
    assert_eq!(answer.into_inner().partial_success.unwrap().rejected_spans, 1);
    assert_eq!(span_names(&receiver.batches()), ["kept"]);
}

#[tokio::test]
async fn a_full_queue_is_unavailable_and_says_when_to_come_back() {
    let receiver = Receiver::full().await;
    let mut client = TraceServiceClient::new(receiver.channel().await);
    let status = client.export(traces(vec![span("later")])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("google.rpc.RetryInfo"), "{details:?}");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_worth_another_try() {
    let receiver = Receiver::start().await;
    let channel = receiver.channel().await;
    let bomb = traces(vec![Span::default(); 300_000]);
    let mut client = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
    let status = client.export(bomb).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.details().windows(9).all(|window| window != b"RetryInfo"));
    let large = traces(vec![span(&"x".repeat(17 * 1024 * 1024))]);
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let status = client.export(large).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(receiver.batches().is_empty());
}

#[tokio::test]
async fn other_services_are_unimplemented() {
    let receiver = Receiver::start().await;
    let mut client = TraceServiceClient::with_origin(
        receiver.channel().await,
        http::Uri::from_static("http://agent/elsewhere"),
    );
    let status = client.export(traces(vec![span("astray")])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

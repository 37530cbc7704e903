//! OTLP/HTTP takes what senders send, and tells them in OTLP's words what it does not take.

#[cfg(test)]
#[path = "otlp/receiver.rs"]
#[allow(dead_code, reason = "shared with the gRPC tests, which use other parts of it")]
mod receiver;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use receiver::{Receiver, gzip, span, span_names, traces};
use spanline_agent::record::Batch;
use spanline_agent::self_metrics::{RefusedRequest, SignalTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

#[tokio::test]
async fn protobuf_is_taken_and_answered_in_protobuf() {
    let receiver = Receiver::start().await;
    let body = traces(vec![span("GET /something")]).encode_to_vec();
    let answer = receiver.post("/v1/traces", &[PROTOBUF], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/x-protobuf");
    assert!(answer.body.is_empty(), "full success is an empty message");
    assert_eq!(span_names(&receiver.batches()), ["GET /something"]);
    let labels = SignalTransport { signal: "traces", transport: "http" };
    assert_eq!(receiver.metrics.receive.accepted.get_or_create(&labels).get(), 1);
}

#[tokio::test]
async fn gzip_bodies_are_taken() {
    let receiver = Receiver::start().await;
    let body = gzip(&traces(vec![span("zipped")]).encode_to_vec());
    assert_eq!(receiver.post("/v1/traces", &[PROTOBUF, GZIP], body).await.status, StatusCode::OK);
    let body = gzip(&serde_json::to_vec(&traces(vec![span("zipped json")])).unwrap());
    assert_eq!(receiver.post("/v1/traces", &[JSON, GZIP], body).await.status, StatusCode::OK);
    assert_eq!(span_names(&receiver.batches()), ["zipped", "zipped json"]);
}

#[tokio::test]
async fn json_is_taken_and_answered_in_json() {
    let receiver = Receiver::start().await;
    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
        "name":"I'm a server span","startTimeUnixNano":"1544712660000000000","kind":2,
        "attributes":[{"key":"my.span.attr","value":{"stringValue":"some value"}}]}]}]}]}"#;
    let json = ("content-type", "Application/JSON; charset=utf-8");
    let answer = receiver.post("/v1/traces", &[json], body).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "{}"));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(span_names(&receiver.batches()), ["I'm a server span"]);
}

#[tokio::test]
async fn null_in_json_stands_for_a_field_that_is_not_there() {
    let receiver = Receiver::start().await;
    let body = r#"{"resourceSpans":[{"resource":null,"schemaUrl":null,"scopeSpans":[{"scope":null,"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":null,
        "name":"nulls","attributes":null,"events":null,"status":null}]}]}]}"#;
    let answer = receiver.post("/v1/traces", &[JSON], body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(span_names(&receiver.batches()), ["nulls"]);
}

#[tokio::test]
async fn logs_and_metrics_have_their_paths() {
    let receiver = Receiver::start().await;
    let logs = r#"{"resourceLogs":[{"resource":{"attributes":[
        {"key":"service.name","value":{"stringValue":"cart"}}]},
        "scopeLogs":[{"logRecords":[{"timeUnixNano":"7","body":{"stringValue":"hello"}}]}]}]}"#;
    assert_eq!(receiver.post("/v1/logs", &[JSON], logs).await.status, StatusCode::OK);
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"up",
        "gauge":{"dataPoints":[{"asDouble":1.0,"timeUnixNano":"7"}]}}]}]}]}"#;
    assert_eq!(receiver.post("/v1/metrics", &[JSON], metrics).await.status, StatusCode::OK);
    let batches = receiver.batches();
    let [Batch::Logs(logs), Batch::Metrics(metrics)] = batches.as_slice() else {
        panic!("{batches:?}")
    };
    assert_eq!(logs[0].resource.get("service.name"), Some("cart"));
    assert_eq!(metrics.point_count(), 1);
}

#[tokio::test]
async fn spans_without_valid_ids_are_reported_as_rejected() {
    let receiver = Receiver::start().await;
    let invalid = Span { trace_id: vec![0; 16], ..span("lost") };
    let body = traces(vec![span("kept"), invalid]).encode_to_vec();
    let answer = receiver.post("/v1/traces", &[PROTOBUF], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let partial = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("trace id"), "{}", partial.error_message);
    assert_eq!(span_names(&receiver.batches()), ["kept"]);
}

#[tokio::test]
async fn every_refusal_has_its_status_and_says_why() {
    let receiver = Receiver::start().await;
    const BROTLI: (&str, &str) = ("content-encoding", "br");
    const TEXT: (&str, &str) = ("content-type", "text/plain");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);
    let cases: [Case<'_>; 6] = [
        (&[PROTOBUF], b"\xff\xff", 400, "cannot be decoded"),
        (&[JSON], b"{\"resourceSpans\":7}", 400, "not OTLP JSON"),
        (&[PROTOBUF, GZIP], b"not gzip", 400, "not gzip"),
        (&[TEXT], b"", 415, "content type"),
        (&[], b"", 415, "content type"),
        (&[PROTOBUF, BROTLI], b"", 415, "gzip"),
    ];
    for (headers, body, status, why) in cases {
        let answer = receiver.post("/v1/traces", headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?} {}", answer.text());
        assert!(answer.text().contains(why), "{headers:?} {}", answer.text());
    }
    assert!(receiver.batches().is_empty());
}

#[tokio::test]
async fn other_methods_and_paths_are_told_so() {
    let receiver = Receiver::start().await;
    let get = Request::get("/v1/traces").body(Full::new(Bytes::new())).unwrap();
    let answer = receiver.send(get).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "POST");
    let answer = receiver.post("/api/v2/spans", &[JSON], "[]").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("/v1/traces"), "{}", answer.text());
}

#[tokio::test]
async fn an_error_is_a_status_message_in_the_format_of_the_request() {
    let receiver = Receiver::start().await;
    let json = receiver.post("/v1/traces", &[JSON], "{").await;
    let status: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!(status["code"], 3);
    let protobuf = receiver.post("/v1/traces", &[PROTOBUF], &b"\xff"[..]).await;
    assert_eq!(protobuf.header("content-type"), "application/x-protobuf");
    // Field 1, the code, is a varint of 3: INVALID_ARGUMENT.
    assert!(protobuf.body.starts_with(&[0x08, 3]), "{:?}", protobuf.body);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let receiver = Receiver::full().await;
    let body = traces(vec![span("later")]).encode_to_vec();
    let answer = receiver.post("/v1/traces", &[PROTOBUF], body).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "1");
    let labels = RefusedRequest { signal: "traces", transport: "http", reason: "queue_full" };
    assert_eq!(receiver.metrics.receive.refused.get_or_create(&labels).get(), 1);
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_decoded() {
    let receiver = Receiver::start().await;
    // Four megabytes of empty spans, four kilobytes of gzip, half a gigabyte of structs.
    let mut spans = [0x12, 0x00].repeat(2 * 1024 * 1024);
    for field in [0x12, 0x0a] {
        let mut outer = vec![field];
        prost::encoding::encode_varint(spans.len() as u64, &mut outer);
        outer.append(&mut spans);
        spans = outer;
    }
    let bomb = gzip(&spans);
    assert!(bomb.len() < 8_192, "{}", bomb.len());
    let answer = receiver.post("/v1/traces", &[PROTOBUF, GZIP], bomb).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("memory"), "{}", answer.text());
    let zeros = gzip(&vec![0; 17 * 1024 * 1024]);
    let answer = receiver.post("/v1/traces", &[PROTOBUF, GZIP], zeros).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_refused_unread() {
    let receiver = Receiver::start().await;
    let mut stream = TcpStream::connect(receiver.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: agent\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

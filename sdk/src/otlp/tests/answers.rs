//! What a receiver may say, and what it is taken for.

use std::io::Read as _;
use std::time::Duration;

use super::*;

fn to(receiver: &Receiver, protocol: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address)),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ]
}

async fn answer_to(protocol: &str, reply: Reply) -> Answer {
    let receiver = Receiver::start(reply).await;
    sent(to(&receiver, protocol)).await
}

/// `partial_success { rejected = 3, error_message = "too old" }`
const PARTIAL: &[u8] = b"\x0a\x0b\x08\x03\x12\x07too old";

#[tokio::test]
async fn each_signal_goes_its_own_way_with_the_headers_that_were_set() {
    let cases = [
        (Signal::Traces, "http/protobuf", "/v1/traces"),
        (Signal::Metrics, "http/protobuf", "/v1/metrics"),
        (Signal::Traces, "grpc", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (
            Signal::Metrics,
            "grpc",
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        ),
    ];
    for (signal, protocol, path) in cases {
        let receiver = Receiver::start(Reply::taken(protocol, Bytes::new())).await;
        let mut vars = to(&receiver, protocol);
        vars.push(("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b".to_owned()));
        let (config, faults) = config(signal, vars);
        assert_eq!(faults, []);
        let sender = crate::otlp::connect(&config);
        for _ in 0..2 {
            let answer = sender.send(Bytes::from_static(b"payload")).await;
            assert_eq!(answer, Answer::Taken { rejected: 0, message: String::new() }, "{path}");
        }
        let seen = receiver.seen();
        assert_eq!(seen.len(), 2);
        for request in seen {
            assert_eq!(request.path, path);
            assert_eq!(request.headers["x-tenant"], "a b");
            assert!(request.headers["user-agent"].to_str().unwrap().starts_with("spanline/"));
            assert!(request.body.ends_with(b"payload"));
        }
    }
}

#[tokio::test]
async fn gzip_packs_what_the_receiver_unpacks() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(Reply::taken(protocol, Bytes::new())).await;
        let mut vars = to(&receiver, protocol);
        vars.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
        assert!(matches!(sent(vars).await, Answer::Taken { .. }), "{protocol}");
        let seen = receiver.seen();
        let (header, packed) = match protocol {
            // Of a gRPC message: whether it is packed, its length.
            "grpc" => ("grpc-encoding", &seen[0].body[5..]),
            _ => ("content-encoding", &seen[0].body[..]),
        };
        assert_eq!(seen[0].headers[header], "gzip", "{protocol}");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, b"spans", "{protocol}");
    }
}

#[tokio::test]
async fn a_partial_success_is_seen_in_both_protocols() {
    for protocol in PROTOCOLS {
        let answer = answer_to(protocol, Reply::taken(protocol, PARTIAL.into())).await;
        let expected = Answer::Taken { rejected: 3, message: "too old".to_owned() };
        assert_eq!(answer, expected, "{protocol}");
    }
}

#[tokio::test]
async fn only_the_statuses_that_otlp_lists_are_tried_again() {
    for status in [400, 401, 403, 404, 408, 413, 429, 500, 501, 502, 503, 504] {
        let status = StatusCode::from_u16(status).unwrap();
        let headers =
            HeaderMap::from_iter([(http::header::RETRY_AFTER, HeaderValue::from_static("7"))]);
        let answer =
            answer_to("http/protobuf", Reply { status, headers, ..Reply::default() }).await;
        let why = format!("the receiver answered {status}");
        let expected = match status.as_u16() {
            429 | 502 | 503 | 504 => Answer::Later { wait: Some(Duration::from_secs(7)), why },
            401 | 403 => Answer::refused(&why, true),
            _ => Answer::refused(&why, false),
        };
        assert_eq!(answer, expected);
    }
    // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
    let retried = ["1", "4", "10", "11", "14", "15"];
    for status in
        ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"]
    {
        let answer = answer_to("grpc", Reply::grpc(status, Bytes::new())).await;
        let is_retried = matches!(answer, Answer::Later { wait: None, .. });
        assert_eq!(is_retried, retried.contains(&status), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_where_the_token_goes_and_others_where_to_look() {
    let denied =
        [("http/protobuf", "401"), ("http/protobuf", "403"), ("grpc", "16"), ("grpc", "7")];
    let elsewhere = [("http/protobuf", "404"), ("grpc", "12")];
    let remedies = [
        (&denied[..], "OTEL_EXPORTER_OTLP_HEADERS"),
        (&elsewhere[..], "Does an OTLP receiver of this protocol listen there?"),
    ];
    for (answers, remedy) in remedies {
        for (protocol, status) in answers {
            let reply = match *protocol {
                "grpc" => Reply::grpc(status, Bytes::new()),
                _ => Reply { status: status.parse().unwrap(), ..Reply::default() },
            };
            let Answer::Refused { why } = answer_to(protocol, reply).await else {
                panic!("{protocol} {status} is not refused")
            };
            assert!(why.contains(remedy), "{protocol} {status}: {why}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_ten_mebibytes_is_not_read() {
    let long = Bytes::from(vec![0; 10 * 1024 * 1024]);
    let http = |status| Reply { status, message: long.clone(), ..Reply::default() };
    let taken = answer_to("http/protobuf", http(StatusCode::OK)).await;
    assert_eq!(taken, Answer::Taken { rejected: 0, message: String::new() });
    let later = answer_to("http/protobuf", http(StatusCode::SERVICE_UNAVAILABLE)).await;
    assert!(matches!(later, Answer::Later { .. }), "{later:?}");
    let refused = answer_to("http/protobuf", http(StatusCode::BAD_REQUEST)).await;
    assert!(matches!(refused, Answer::Refused { .. }), "{refused:?}");
    // By gRPC the status comes behind the message: there was an answer, so the batch is not sent twice.
    let taken = answer_to("grpc", Reply::grpc("0", long)).await;
    assert_eq!(taken, Answer::Taken { rejected: 0, message: String::new() });
}

#[tokio::test]
async fn what_is_no_otlp_at_all_rejects_nothing_and_panics_nobody() {
    let answer = answer_to("http/protobuf", Reply { message: "<html>".into(), ..Reply::default() });
    assert_eq!(answer.await, Answer::Taken { rejected: 0, message: String::new() });
}

#[tokio::test]
async fn nobody_there_is_a_reason_to_come_back() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for protocol in PROTOCOLS {
        let nobody = Receiver { address, seen: Arc::default() };
        let answer = sent(to(&nobody, protocol)).await;
        let Answer::Later { wait: None, why } = answer else { panic!("{answer:?}") };
        assert!(why.contains("refused"), "{protocol}: {why}");
    }
}

#[tokio::test]
async fn a_status_with_details_that_nobody_can_read_is_a_status() {
    let details = ("grpc-status-details-bin", HeaderValue::from_static("!!!"));
    let mut in_trailers = Reply::grpc("3", Bytes::new());
    in_trailers.trailers.insert(details.0, details.1.clone());
    let mut in_headers = Reply::grpc("3", Bytes::new());
    let (message, trailers) = (Bytes::new(), std::mem::take(&mut in_headers.trailers));
    in_headers.headers.extend(trailers);
    in_headers.headers.insert(details.0, details.1);
    for reply in [in_trailers, Reply { message, ..in_headers }] {
        let answer = answer_to("grpc", reply).await;
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    }
}

#[tokio::test]
async fn what_was_taken_by_its_head_is_taken_when_its_body_stalls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = Receiver::at(&listener);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut tcp, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = tcp.read(&mut request).await.unwrap();
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await.unwrap();
        // Open, and without another word.
        let _ = tcp.read(&mut request).await;
        std::future::pending::<()>().await;
    });
    let mut vars = to(&receiver, "http/protobuf");
    vars.push(("OTEL_EXPORTER_OTLP_TIMEOUT", "1000".to_owned()));
    let answer = tokio::time::timeout(Duration::from_secs(1), sent(vars)).await;
    assert_eq!(answer, Ok(Answer::Taken { rejected: 0, message: String::new() }));
}

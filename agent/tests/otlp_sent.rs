//! Each key of the exporter `otlp` has an effect that its server sees.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers are part of the test"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use spanline_agent::agent::Agent;
use spanline_agent::config::Config;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// What a server of gRPC was asked.
type Asked = Arc<Mutex<Vec<(Uri, HeaderMap, Bytes)>>>;

/// A server that remembers what it is asked, and answers with this status of gRPC.
async fn server(status: &'static str) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Asked::default());
    let kept = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            let service = service_fn(move |request: Request<Incoming>| {
                let kept = Arc::clone(&kept);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    kept.lock().unwrap().push((head.uri, head.headers, body));
                    let answer = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", status);
                    Ok::<_, Infallible>(answer.body(Full::<Bytes>::default()).unwrap())
                }
            });
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, asked)
}

/// Sends one line by an agent with these keys of its exporter, for as long as the future takes.
async fn sending<T>(to: SocketAddr, keys: &str, until: impl Future<Output = T>) -> T {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.log"), "a line\n").unwrap();
    let yaml = format!(
        "receivers: {{filelog: {{include: ['{}/*.log'], start_at: beginning, operators: [{{type: noop}}]}}}}
exporters: {{otlp: {{endpoint: '{to}', tls: {{insecure: true}}, {keys}}}}}
service: {{pipelines: {{logs: {{receivers: [filelog], exporters: [otlp]}}}}}}",
        folder.path().display()
    );
    let config = Config::from_yaml(&yaml, "test", &HashMap::new());
    let config = config.unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    let agent = tokio::spawn(Agent::build(&config).await.unwrap().run(std::future::pending()));
    let done = tokio::time::timeout(Duration::from_secs(20), until).await.expect("in time");
    agent.abort();
    done
}

async fn first(asked: &Asked) -> (Uri, HeaderMap, Bytes) {
    loop {
        if let Some(first) = asked.lock().unwrap().first() {
            return first.clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn headers_compression_authority_and_the_time_for_an_answer_are_in_the_request() {
    let (address, asked) = server("3").await;
    let (uri, headers, body) = sending(address, "timeout: 7s", first(&asked)).await;
    assert_eq!(uri.path(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export");
    assert_eq!(uri.authority().unwrap().as_str(), address.to_string());
    assert_eq!(headers["grpc-timeout"], "7000000u");
    assert_eq!((&headers["grpc-encoding"], body[0]), (&"gzip".parse().unwrap(), 1));

    let (address, asked) = server("3").await;
    let keys = "headers: {x-tenant: shop}, compression: none, authority: 'tempo.internal:1'";
    let (uri, headers, body) = sending(address, keys, first(&asked)).await;
    assert_eq!(uri.authority().unwrap().as_str(), "tempo.internal:1");
    assert_eq!(headers["x-tenant"], "shop");
    assert!(!headers.contains_key("grpc-encoding") && body[0] == 0);
    assert!(body.windows(6).any(|part| part == b"a line"));
}

/// How long the first connection lasts to a server that reads and says nothing.
async fn silent(keys: &str) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let lasted = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (began, mut read) = (tokio::time::Instant::now(), [0; 4096]);
        while stream.read(&mut read).await.is_ok_and(|count| count > 0) {}
        began.elapsed()
    };
    sending(address, keys, lasted).await
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_when_it_gives_no_sign_of_life() {
    let lasted = silent("timeout: 60s, keepalive: {time: 1s, timeout: 100ms}").await;
    assert!(lasted < Duration::from_secs(10), "{lasted:?}");
    let lasted = silent(
        "timeout: 200ms, retry_on_failure: {initial_interval: 30s, max_interval: 30s}, \
                keepalive: {time: 1s, timeout: 100ms, permit_without_stream: true}",
    )
    .await;
    assert!(lasted < Duration::from_secs(10), "{lasted:?}");
}

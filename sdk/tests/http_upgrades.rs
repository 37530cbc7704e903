//! A connection that changes its protocol, and an answer before the answer, through the server's layer.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use spanline::testing::{self, Span, TestTelemetry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Agrees to speak `echo`, and sends back what it is sent.
async fn upgrade(mut request: Request) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut connection = TokioIo::new(upgrade.await.unwrap());
        let mut said = [0; 4];
        connection.read_exact(&mut said).await.unwrap();
        connection.write_all(&said).await.unwrap();
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "echo")
        .body(Body::empty())
        .unwrap()
}

/// A connection to a service that has the layer.
async fn connected(layer: spanline::http::ServerLayer) -> TcpStream {
    let app = Router::new()
        .route("/echo", get(upgrade))
        .route("/read", post(|body: String| async move { format!("read {body}") }))
        .layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    TcpStream::connect(address).await.unwrap()
}

/// Reads until what was read ends in `end`.
async fn read_to(connection: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !read.ends_with(end.as_bytes()) {
            read.push(connection.read_u8().await.unwrap());
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), reading).await;
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(done.is_ok(), "waited for {end:?}, have {text:?}");
    text
}

/// The one span there is to be.
async fn span(telemetry: &TestTelemetry) -> Span {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(span) = telemetry.spans().first() {
                return span.clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let span = waited.await.unwrap();
    assert_eq!(telemetry.spans().len(), 1);
    span
}

/// The layer as it comes, and with the context only.
fn layers() -> [spanline::http::ServerLayer; 2] {
    [spanline::http::server(), spanline::http::server().context_only()]
}

#[tokio::test]
async fn an_upgraded_connection_goes_on_after_its_span_has_ended() {
    for layer in layers() {
        let telemetry = testing::start();
        let mut connection = connected(layer).await;
        let request =
            "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        connection.write_all(request.as_bytes()).await.unwrap();
        let head = read_to(&mut connection, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let span = span(&telemetry).await;
        assert_eq!(span.name, "GET /echo");
        assert_eq!(span.attributes["http.response.status_code"].to_string(), "101");
        assert!(!span.attributes.contains_key("error.type"), "{span:?}");
        connection.write_all(b"echo").await.unwrap();
        assert_eq!(read_to(&mut connection, "echo").await, "echo");
    }
}

#[tokio::test]
async fn an_answer_before_the_answer_leaves_the_span_to_the_real_one() {
    for layer in layers() {
        let telemetry = testing::start();
        let mut connection = connected(layer).await;
        let head =
            "POST /read HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        let first = read_to(&mut connection, "\r\n\r\n").await;
        assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
        assert!(telemetry.spans().is_empty(), "the request is under way");
        connection.write_all(b"this").await.unwrap();
        let answer = read_to(&mut connection, "read this").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let span = span(&telemetry).await;
        assert_eq!(span.attributes["http.response.status_code"].to_string(), "200");
    }
}

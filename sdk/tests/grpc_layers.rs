//! What the gRPC layers promise, between a real tonic client and a real tonic server: one span on each side of
//! a call, in one trace, ended with the call's status.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use http::Uri;
use http::uri::PathAndQuery;
use opentelemetry::trace::SpanKind;
use spanline::testing::{self, Span, TestTelemetry};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Layer as _, Service};

type Traced = spanline::grpc::ClientService<Channel>;
type Client = tonic::client::Grpc<Traced>;
type Replies = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// Messages as bytes, both ways.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
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

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What a message asks for: a status by its number, `panic`, `wait` for ever, or its own text back.
async fn reply(message: Bytes) -> Result<Bytes, Status> {
    tracing::info!("asked");
    match &*message {
        b"panic" => panic!("asked to"),
        b"wait" => std::future::pending().await,
        text => match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
            Some(code) => Err(Status::new(Code::from_i32(code), "asked to")),
            None => Ok(message),
        },
    }
}

/// `test.Echo`: `Unary` answers one message, `Both` answers each of a stream's, as they come.
#[derive(Clone, Copy)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match request.uri().path() {
                "/test.Echo/Unary" => grpc.unary(Unary, request).await,
                "/test.Echo/Both" => grpc.streaming(Both, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

struct Unary;

impl tonic::server::UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Status>> + Send>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move { reply(request.into_inner()).await.map(Response::new) })
    }
}

struct Both;

impl tonic::server::StreamingService<Bytes> for Both {
    type Response = Bytes;
    type ResponseStream = Replies;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Replies>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let replies = request.into_inner().then(|message| async move { reply(message?).await });
        Box::pin(async move { Ok(Response::new(Box::pin(replies) as Replies)) })
    }
}

/// A server and a client on the test's own thread, and the spans of both.
struct Scene {
    telemetry: TestTelemetry,
    client: Client,
    address: Uri,
}

async fn scene() -> Scene {
    scene_with(spanline::grpc::server()).await
}

async fn scene_with(layer: spanline::grpc::ServerLayer) -> Scene {
    let telemetry = testing::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let endpoint = Endpoint::from(address.clone());
    let channel = spanline::grpc::client().server(&address).layer(endpoint.connect_lazy());
    Scene { telemetry, client: tonic::client::Grpc::new(channel), address }
}

impl Scene {
    async fn unary(&mut self, message: impl Into<Request<Bytes>>) -> Result<Bytes, Status> {
        self.call("/test.Echo/Unary", message.into()).await
    }

    async fn call(&mut self, path: &'static str, message: Request<Bytes>) -> Result<Bytes, Status> {
        self.client.ready().await.unwrap();
        let path = PathAndQuery::from_static(path);
        self.client.unary(message, path, Raw).await.map(Response::into_inner)
    }

    async fn both(
        &mut self,
        messages: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        self.client.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Both");
        self.client.streaming(Request::new(messages), path, Raw).await.map(Response::into_inner)
    }

    /// The client's span and the server's, which may end a little later.
    async fn ended(&self) -> (Span, Span) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let spans = self.telemetry.spans();
                let of = |kind| spans.iter().find(|span| span.kind == kind).cloned();
                if let (Some(client), Some(server)) = (of(SpanKind::Client), of(SpanKind::Server)) {
                    return (client, server);
                }
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("ended so far: {:#?}", self.telemetry.spans()))
    }
}

fn text(text: &'static str) -> Request<Bytes> {
    Request::new(Bytes::from_static(text.as_bytes()))
}

fn assert_status(span: &Span, name: &str, code: i32, is_failed: bool) {
    assert_eq!(span["rpc.response.status_code"], name, "{span:#?}");
    assert_eq!(span["rpc.grpc.status_code"], code, "{span:#?}");
    assert_eq!(span.is_failed(), is_failed, "{span:#?}");
    let error_type = span.attributes.get("error.type").and_then(|value| value.as_str());
    assert_eq!(error_type, is_failed.then_some(name), "{span:#?}");
}

#[tokio::test]
async fn a_call_is_one_span_on_each_side_in_one_trace() {
    let mut scene = scene().await;
    assert_eq!(scene.unary(text("hello")).await.unwrap(), "hello");
    let (client, server) = scene.ended().await;
    assert!(client.is_root() && server.is_child_of(&client) && server.is_parent_remote);
    for span in [&client, &server] {
        assert_eq!(span.name, "test.Echo/Unary");
        assert_eq!(span["rpc.system.name"], "grpc");
        assert_eq!(span["rpc.system"], "grpc");
        assert_eq!(span["rpc.method"], "test.Echo/Unary");
        assert_eq!(span["rpc.service"], "test.Echo");
        assert_eq!(span["server.address"], "127.0.0.1");
        assert_eq!(span["server.port"], scene.address.port_u16().unwrap());
        assert_status(span, "OK", 0, false);
    }
    assert!(scene.telemetry.line("asked").is_in(&server));
}

#[tokio::test]
async fn a_status_is_a_failure_to_the_client_and_to_the_server_only_by_its_own_fault() {
    for (asked, name, code, is_servers_fault) in [
        ("5", "NOT_FOUND", 5, false),
        ("3", "INVALID_ARGUMENT", 3, false),
        ("7", "PERMISSION_DENIED", 7, false),
        ("2", "UNKNOWN", 2, true),
        ("13", "INTERNAL", 13, true),
        ("14", "UNAVAILABLE", 14, true),
    ] {
        let mut scene = scene().await;
        assert_eq!(i32::from(scene.unary(text(asked)).await.unwrap_err().code()), code);
        let (client, server) = scene.ended().await;
        assert_status(&client, name, code, true);
        assert_status(&server, name, code, is_servers_fault);
    }
}

#[tokio::test]
async fn an_answer_without_a_message_tells_its_status_in_the_head() {
    let mut scene = scene().await;
    let refused = scene.call("/test.Echo/Missing", text("hello")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let (client, server) = scene.ended().await;
    assert_eq!(server.name, "test.Echo/Missing");
    assert_status(&client, "UNIMPLEMENTED", 12, true);
    assert_status(&server, "UNIMPLEMENTED", 12, true);
}

#[tokio::test]
async fn a_stream_ends_with_its_status_after_the_last_message() {
    let mut scene = scene().await;
    let messages = stream::iter(["a", "b", "c"].map(|text| Bytes::from_static(text.as_bytes())));
    let mut replies = scene.both(messages).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap(), "a");
    let is_open = |kind| scene.telemetry.spans().iter().all(|span| span.kind != kind);
    assert!(is_open(SpanKind::Client), "the stream is not over");
    assert_eq!(replies.next().await.unwrap().unwrap(), "b");
    assert_eq!(replies.next().await.unwrap().unwrap(), "c");
    assert!(replies.next().await.is_none());
    let (client, server) = scene.ended().await;
    assert_status(&client, "OK", 0, false);
    assert_status(&server, "OK", 0, false);
    assert!(server.is_child_of(&client));
}

#[tokio::test]
async fn a_stream_may_fail_in_its_middle() {
    let mut scene = scene().await;
    let messages = stream::iter(["a", "10"].map(|text| Bytes::from_static(text.as_bytes())));
    let mut replies = scene.both(messages).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap(), "a");
    assert_eq!(replies.next().await.unwrap().unwrap_err().code(), Code::Aborted);
    let (client, server) = scene.ended().await;
    assert_status(&client, "ABORTED", 10, true);
    assert_status(&server, "ABORTED", 10, false);
}

#[tokio::test]
async fn a_stream_that_nobody_wants_any_more_is_cancelled_on_both_sides() {
    let mut scene = scene().await;
    let messages = stream::iter(["a", "wait"].map(|text| Bytes::from_static(text.as_bytes())));
    let mut replies = scene.both(messages).await.unwrap();
    assert_eq!(replies.next().await.unwrap().unwrap(), "a");
    drop(replies);
    let (client, server) = scene.ended().await;
    assert_status(&client, "CANCELLED", 1, true);
    assert_status(&server, "CANCELLED", 1, false);
}

#[tokio::test]
async fn a_call_that_is_given_up_before_its_answer_is_cancelled() {
    let scene = scene().await;
    let path = PathAndQuery::from_static("/test.Echo/Unary");
    let mut client = scene.client.clone();
    client.ready().await.unwrap();
    let mut call = Box::pin(client.unary::<_, Bytes, _>(text("wait"), path, Raw));
    let asked = async {
        while scene.telemetry.lines().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = &mut call => panic!("{answer:?}"),
        () = asked => drop(call),
    }
    let (client, server) = scene.ended().await;
    assert_status(&client, "CANCELLED", 1, true);
    assert_status(&server, "CANCELLED", 1, false);
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_failure() {
    let mut scene = scene().await;
    let mut request = text("wait");
    request.set_timeout(Duration::from_millis(50));
    let late = scene.unary(request).await.unwrap_err();
    let (client, server) = scene.ended().await;
    // That is how tonic tells it, on both sides.
    assert_eq!(late.code(), Code::Cancelled);
    assert_status(&client, "CANCELLED", 1, true);
    assert_status(&server, "CANCELLED", 1, false);
}

#[tokio::test]
async fn a_panic_in_a_method_ends_its_span() {
    let mut scene = scene().await;
    scene.unary(text("panic")).await.unwrap_err();
    let (_, server) = scene.ended().await;
    assert!(server.is_failed());
    assert_eq!(server["error.type"], "panic");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let telemetry = testing::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let channel = spanline::grpc::client().layer(Endpoint::from(address).connect_lazy());
    let mut client: Client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Unary");
    client.unary::<_, Bytes, _>(text("hello"), path, Raw).await.unwrap_err();
    let span = telemetry.span("test.Echo/Unary");
    assert_status(&span, "UNAVAILABLE", 14, true);
    assert!(span["server.address"].is_null(), "nobody said where");
}

#[tokio::test]
async fn options_are_those_of_http() {
    let layer = spanline::grpc::server()
        .exclude("test.Echo/Health")
        .callers(spanline::http::Callers::Link)
        .context_only();
    let mut scene = scene_with(layer).await;
    scene.call("/test.Echo/Health", text("hello")).await.unwrap_err();
    scene.unary(text("hello")).await.unwrap();
    let (_, server) = scene.ended().await;
    assert_eq!(server.name, "test.Echo/Unary");
    assert!(server.is_root());
    let linked = server.links[0].span_id();
    assert!(scene.telemetry.spans().iter().any(|span| span.span_id == linked));
    assert!(scene.telemetry.line("asked").is_in(&server));
    let servers = scene.telemetry.spans().into_iter().filter(|span| span.kind == SpanKind::Server);
    assert_eq!(servers.count(), 1, "the health check has none");
}

#[tokio::test]
async fn calls_are_counted_by_method_and_status_on_both_sides_and_made_up_methods_are_one() {
    let mut scene = scene().await;
    for _ in 0..2 {
        scene.unary(text("hello")).await.unwrap();
    }
    for made_up in ["/made.Up/One", "/made.Up/Two"] {
        scene.call(made_up, text("hello")).await.unwrap_err();
    }
    // A server ends its span, and counts, a little later than the client has its answer.
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while scene.telemetry.spans().len() < 8 {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap();
    let text = scene.telemetry.registry().to_openmetrics();
    let value = |side: &str, labels: &[&str]| {
        let start = format!("rpc_{side}_call_duration_seconds_count{{rpc_system_name=\"grpc\"");
        let is_wanted = |line: &&str| {
            line.starts_with(&start) && labels.iter().all(|label| line.contains(label))
        };
        let lines: Vec<_> = text.lines().filter(is_wanted).collect();
        let [line] = lines[..] else { panic!("{side} {labels:?}: {lines:#?} in\n{text}") };
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let ok = ["rpc_method=\"test.Echo/Unary\"", "rpc_response_status_code=\"OK\""];
    assert_eq!(value("server", &ok), "2");
    let address = format!("server_address=\"{}\"", scene.address.host().unwrap());
    assert_eq!(value("client", &[ok[0], ok[1], &address]), "2");
    let unknown = ["rpc_method=\"_OTHER\"", "\"UNIMPLEMENTED\"", "error_type=\"UNIMPLEMENTED\""];
    assert_eq!(value("server", &unknown), "2");
    assert_eq!(value("client", &["made.Up/One", "error_type=\"UNIMPLEMENTED\""]), "1");
    assert!(
        text.contains("rpc_server_call_duration_seconds_bucket{") && text.contains("# {trace_id=")
    );
}

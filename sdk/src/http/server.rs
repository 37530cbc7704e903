//! The server's side: one SERVER span for each request, from its headers to the end of its answer's body.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::{ConnectInfo, MatchedPath};
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context as OtelContext, KeyValue};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{semconv, traceparent};

/// Makes a SERVER span of every request, named `{method} {route}`.
///
/// Add it with `Router::layer` *after* the routes: axum then knows the route before the layer is called. The
/// handler runs inside the span, so its lines carry the ids, and `Span::current()` is the span.
///
/// ```
/// use axum::{Router, routing::get};
/// let app: Router = Router::new()
///     .route("/items/{id}", get(|| async { "an item" }))
///     .route("/healthz", get(|| async { "ok" }))
///     .layer(spanline::http::server().exclude("/healthz"));
/// ```
pub fn server() -> ServerLayer {
    ServerLayer::default()
}

/// Made by [`server`].
#[derive(Debug, Clone, Default)]
pub struct ServerLayer {
    excluded: Arc<Vec<String>>,
}

impl ServerLayer {
    /// Leaves requests to exactly this path alone: no span, and so no ids in their lines. For probes.
    #[must_use]
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.excluded).push(path.into());
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner, excluded: Arc::clone(&self.excluded) }
    }
}

/// A service whose requests are spans; made by [`ServerLayer`]. Its error type is that of the service.
#[derive(Debug, Clone)]
pub struct Server<S> {
    inner: S,
    excluded: Arc<Vec<String>>,
}

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ServerBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ServerFuture<S::Future> {
        if self.excluded.iter().any(|path| path == request.uri().path()) {
            return ServerFuture { future: self.inner.call(request), span: None, is_head: false };
        }
        let is_head = request.method() == Method::HEAD;
        let span = start(&request);
        let entered = span.enter();
        let future = self.inner.call(request);
        drop(entered);
        ServerFuture { future, span: Some(Ending::new(span)), is_head }
    }
}

/// Starts the span of a request. Its parent is set before it is entered for the first time: later it would
/// have ids already.
fn start<B>(request: &Request<B>) -> Span {
    let mut attributes = Vec::with_capacity(12);
    let method = semconv::push_method(&mut attributes, request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = tracing::info_span!(
        target: "spanline::http",
        "request",
        otel.kind = "server",
        otel.name = tracing::field::Empty,
    );
    let name = semconv::name_of_method(method);
    match route {
        Some(route) => {
            span.record("otel.name", format_args!("{name} {route}"));
            attributes.push(KeyValue::new("http.route", route.to_owned()));
        }
        None => {
            span.record("otel.name", name);
        }
    }
    let uri = request.uri();
    attributes.push(KeyValue::new("url.scheme", uri.scheme_str().unwrap_or("http").to_owned()));
    attributes.push(KeyValue::new("url.path", semconv::limited(uri.path())));
    if let Some(query) = uri.query() {
        attributes.push(KeyValue::new("url.query", semconv::redacted_query(query)));
    }
    if let Some(version) = semconv::protocol_version(request.version()) {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    push_addresses(&mut attributes, request);
    if let Some(agent) = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()) {
        attributes.push(KeyValue::new("user_agent.original", semconv::limited(agent)));
    }
    // Without a caller the request starts a trace of its own, whatever span is active here.
    let parent = match traceparent::extract(request.headers()) {
        Some(caller) => OtelContext::current().with_remote_span_context(caller),
        None => OtelContext::new(),
    };
    // Both fail only when no OpenTelemetry layer is there to make a span of it.
    let _ = span.set_parent(parent);
    for attribute in attributes {
        span.set_attribute(attribute.key, attribute.value);
    }
    span
}

fn push_addresses<B>(attributes: &mut Vec<KeyValue>, request: &Request<B>) {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().cloned().or_else(|| host?.parse().ok());
    if let Some(authority) = authority {
        attributes.push(KeyValue::new("server.address", semconv::limited(authority.host())));
        if let Some(port) = authority.port_u16() {
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        attributes.push(KeyValue::new("client.address", peer.ip().to_string()));
        attributes.push(KeyValue::new("client.port", i64::from(peer.port())));
    }
}

/// A span that says how it ended, whichever way that is.
#[derive(Debug)]
struct Ending {
    span: Span,
    is_complete: bool,
}

impl Ending {
    fn new(span: Span) -> Self {
        Self { span, is_complete: false }
    }

    fn fail(&mut self, error_type: &'static str) {
        self.is_complete = true;
        self.span.set_attribute("error.type", error_type);
        self.span.set_status(Status::error(""));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        if std::thread::panicking() {
            self.fail("panic");
        } else {
            // Nobody waits for the answer any more: the client went away.
            self.fail("cancelled");
        }
    }
}

pin_project! {
    /// The answer of a service whose requests are spans.
    #[derive(Debug)]
    pub struct ServerFuture<F> {
        #[pin]
        future: F,
        span: Option<Ending>,
        is_head: bool,
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ServerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = {
            let _entered = this.span.as_ref().map(|ending| ending.span.enter());
            ready!(this.future.poll(context))
        };
        let mut ending = this.span.take();
        match outcome {
            Ok(response) => {
                if let Some(ending) = &ending {
                    answered(&ending.span, &response);
                }
                // Such a body is not asked for a frame.
                if *this.is_head || response.body().is_end_stream() {
                    complete(&mut ending);
                }
                Poll::Ready(Ok(response.map(|body| ServerBody { body, span: ending })))
            }
            Err(error) => {
                if let Some(ending) = &mut ending {
                    ending.fail("service");
                }
                Poll::Ready(Err(error))
            }
        }
    }
}

fn answered<R>(span: &Span, response: &Response<R>) {
    let status = response.status();
    let code = semconv::status_code(status);
    span.set_attribute(code.key, code.value);
    // What the client did wrong is no error of the server.
    if status.is_server_error() {
        let error = semconv::error_status(status);
        span.set_attribute(error.key, error.value);
        span.set_status(Status::error(""));
    }
}

pin_project! {
    /// The body of an answer; the request's span ends with it.
    #[derive(Debug)]
    pub struct ServerBody<B> {
        #[pin]
        body: B,
        span: Option<Ending>,
    }
}

impl<B: Body> Body for ServerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = {
            let _entered = this.span.as_ref().map(|ending| ending.span.enter());
            ready!(this.body.as_mut().poll_frame(context))
        };
        match &frame {
            None => complete(this.span),
            Some(Err(_)) => {
                if let Some(mut ending) = this.span.take() {
                    ending.fail("body");
                }
            }
            // A server need not ask again after the last frame.
            Some(Ok(_)) if this.body.is_end_stream() => complete(this.span),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn complete(span: &mut Option<Ending>) {
    if let Some(mut ending) = span.take() {
        ending.is_complete = true;
    }
}

impl<B: Default> Default for ServerBody<B> {
    fn default() -> Self {
        Self { body: B::default(), span: None }
    }
}

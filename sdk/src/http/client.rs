//! The client's side: one CLIENT span for each request that is sent, and its context in the headers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Status, TraceContextExt as _};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{semconv, traceparent};

/// Makes a CLIENT span of every request that a tower client sends, and tells the server of it by a
/// `traceparent` header. Put it below a retry layer: each try is then a span of its own.
///
/// For reqwest, see [`SendTraced`].
pub fn client() -> ClientLayer {
    ClientLayer { _private: () }
}

/// Made by [`client`].
#[derive(Debug, Clone)]
pub struct ClientLayer {
    _private: (),
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner }
    }
}

/// A client whose requests are spans; made by [`ClientLayer`]. Its error type is that of the client.
#[derive(Debug, Clone)]
pub struct Client<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let span = start(request.method(), request.uri());
        inject(&span, request.headers_mut());
        let future = span.in_scope(|| self.inner.call(request));
        ClientFuture { future, span: Some(Ending::new(span)) }
    }
}

fn start(method: &Method, uri: &Uri) -> Span {
    let span = tracing::info_span!(
        target: "spanline::http",
        "request",
        otel.kind = "client",
        otel.name = semconv::name_of_method(semconv::known_method(method)),
    );
    let mut attributes = Vec::with_capacity(5);
    semconv::push_method(&mut attributes, method);
    attributes.push(KeyValue::new("url.full", semconv::redacted_url(uri)));
    if let Some(host) = uri.host() {
        attributes.push(KeyValue::new("server.address", semconv::limited(host)));
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
    for attribute in attributes {
        span.set_attribute(attribute.key, attribute.value);
    }
    span
}

fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    let span = context.span();
    if span.span_context().is_valid() {
        traceparent::inject(span.span_context(), headers);
    }
}

fn answered(span: &Span, status: StatusCode) {
    let code = semconv::status_code(status);
    span.set_attribute(code.key, code.value);
    // To a client, what the server refuses is an error as well.
    if status.is_client_error() || status.is_server_error() {
        let error = semconv::error_status(status);
        span.set_attribute(error.key, error.value);
        span.set_status(Status::error(""));
    }
}

fn failed(span: &Span, error_type: &'static str) {
    span.set_attribute("error.type", error_type);
    span.set_status(Status::error(""));
}

/// A span whose request may be given up by whoever waits for it.
#[derive(Debug)]
struct Ending {
    span: Span,
    is_complete: bool,
}

impl Ending {
    fn new(span: Span) -> Self {
        Self { span, is_complete: false }
    }

    fn complete(mut self, end: impl FnOnce(&Span)) {
        self.is_complete = true;
        end(&self.span);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_complete {
            failed(&self.span, "cancelled");
        }
    }
}

pin_project! {
    /// The answer to a request that is a span.
    #[derive(Debug)]
    pub struct ClientFuture<F> {
        #[pin]
        future: F,
        span: Option<Ending>,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = {
            let _entered = this.span.as_ref().map(|ending| ending.span.enter());
            ready!(this.future.poll(context))
        };
        if let Some(ending) = this.span.take() {
            ending.complete(|span| match &outcome {
                Ok(response) => answered(span, response.status()),
                Err(_) => failed(span, "request"),
            });
        }
        Poll::Ready(outcome)
    }
}

/// Sends a request of reqwest as a CLIENT span.
///
/// ```no_run
/// # async fn run(client: reqwest::Client) -> reqwest::Result<()> {
/// use spanline::http::SendTraced as _;
/// let answer = client.get("http://127.0.0.1:8000/").send_traced().await?;
/// # Ok(()) }
/// ```
#[cfg(feature = "reqwest")]
pub trait SendTraced {
    /// As `send`, inside a span, and with a `traceparent` header that tells the server of it.
    ///
    /// # Errors
    /// Those of `send`.
    fn send_traced(self) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send;
}

#[cfg(feature = "reqwest")]
impl SendTraced for reqwest::RequestBuilder {
    async fn send_traced(self) -> reqwest::Result<reqwest::Response> {
        use tracing::Instrument as _;

        let (client, request) = self.build_split();
        let mut request = request?;
        let uri = request.url().as_str().parse().unwrap_or_default();
        let span = start(request.method(), &uri);
        inject(&span, request.headers_mut());
        let ending = Ending::new(span.clone());
        let outcome = client.execute(request).instrument(span).await;
        ending.complete(|span| match &outcome {
            Ok(response) => answered(span, response.status()),
            // The error's own text holds the URL, with all that may be secret in it.
            Err(error) => failed(span, error_type(error)),
        });
        outcome
    }
}

#[cfg(feature = "reqwest")]
fn error_type(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_body() || error.is_decode() {
        "body"
    } else {
        "request"
    }
}

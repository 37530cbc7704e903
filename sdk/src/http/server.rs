//! The server's side: a tower layer that gives each request a SERVER span.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::{ConnectInfo, MatchedPath};
use http::header::{HOST, USER_AGENT};
use http::{Method, Request, Response};
use http_body::Body;
use opentelemetry::trace::TraceContextExt as _;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::body::ResponseBody;
use super::exchange::Exchange;
use super::{semconv, traceparent};

/// Gives each request one SERVER span, which the handler runs in.
///
/// Put it on the router with [`axum::Router::layer`], after the routes: there it knows the route
/// that matched, and the span is called `GET /users/{id}`. Around a whole router, or around a service
/// without routes, the span is called `GET`: a raw path would make as many names as there are users.
///
/// The span begins with the request's head and ends with the response's last byte. Only a status of
/// 500 or more is the server's fault, and marks the span as failed.
pub fn server() -> ServerLayer {
    ServerLayer { excluded: Arc::default() }
}

/// The layer that [`server`] makes.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerLayer {
    excluded: Arc<Vec<String>>,
}

impl ServerLayer {
    /// Does not trace requests for exactly this path, such as a health check's.
    pub fn exclude(mut self, path: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.excluded).push(path.into());
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService { inner, excluded: Arc::clone(&self.excluded) }
    }
}

/// A service whose requests are traced; see [`server`].
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
    excluded: Arc<Vec<String>>,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ServerFuture<S::Future> {
        let mut exchange = if self.excluded.iter().any(|path| path == request.uri().path()) {
            Exchange::untraced()
        } else {
            start(&request)
        };
        let answers_head = request.method() == Method::HEAD;
        let inner = exchange.run(|| self.inner.call(request));
        ServerFuture { inner, exchange: Some(exchange), answers_head }
    }
}

fn start<B>(request: &Request<B>) -> Exchange {
    let method = semconv::method(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let name = match route {
        Some(route) => format!("{} {route}", method.name),
        None => method.name.to_owned(),
    };
    // A server's span continues the caller's trace, or begins one: whatever span is active around the
    // accept loop is no ancestor of it.
    let exchange = Exchange::new(info_span!(
        target: "spanline::http",
        parent: None,
        "http.server",
        otel.kind = "server",
        otel.name = name,
    ));
    if exchange.span().is_disabled() {
        return exchange;
    }
    if let Some(parent) = traceparent::extract(request.headers()) {
        let parent = opentelemetry::Context::new().with_remote_span_context(parent);
        // Refused only where no OpenTelemetry layer is installed: then there is no trace to continue.
        let _ = exchange.span().set_parent(parent);
    }
    describe(&exchange, request, &method, route);
    exchange
}

fn describe<B>(
    exchange: &Exchange,
    request: &Request<B>,
    method: &semconv::Method,
    route: Option<&str>,
) {
    method.describe(exchange);
    if let Some(route) = route {
        exchange.set(semconv::HTTP_ROUTE, semconv::bounded(route));
    }
    let uri = request.uri();
    exchange.set(semconv::URL_PATH, semconv::bounded(uri.path()));
    if let Some(query) = uri.query() {
        exchange.set(semconv::URL_QUERY, semconv::redacted_query(query));
    }
    exchange.set(semconv::URL_SCHEME, semconv::scheme(uri));
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    // HTTP/1 names the host in a header, HTTP/2 in the target.
    let authority =
        uri.authority().cloned().or_else(|| header(HOST)?.parse::<http::uri::Authority>().ok());
    if let Some(authority) = authority {
        exchange
            .set(semconv::SERVER_ADDRESS, semconv::bounded(semconv::unbracketed(authority.host())));
        if let Some(port) = authority.port_u16() {
            exchange.set(semconv::SERVER_PORT, i64::from(port));
        }
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        exchange.set(semconv::CLIENT_ADDRESS, peer.ip().to_string());
    }
    if let Some(agent) = header(USER_AGENT) {
        exchange.set(semconv::USER_AGENT_ORIGINAL, semconv::bounded(agent));
    }
    if let Some(version) = semconv::protocol_version(request.version()) {
        exchange.set(semconv::NETWORK_PROTOCOL_VERSION, version);
    }
}

pin_project! {
    /// The answer of a [`ServerService`]. Dropped before there is one, it ends the span as `cancelled`.
    pub struct ServerFuture<F> {
        #[pin]
        inner: F,
        // Moves into the body when the answer is there.
        exchange: Option<Exchange>,
        answers_head: bool,
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(match this.exchange.as_mut() {
            Some(exchange) => exchange.run(|| this.inner.poll(context)),
            None => this.inner.poll(context),
        });
        let mut exchange = this.exchange.take().unwrap_or_else(Exchange::untraced);
        Poll::Ready(match result {
            Ok(response) => {
                let status = response.status();
                exchange.set(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
                if status.is_server_error() {
                    exchange.fail(status.as_str().to_owned());
                }
                let (head, body) = response.into_parts();
                let body =
                    ResponseBody::new(body, exchange, status, &head.headers, *this.answers_head);
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                exchange.fail(semconv::ERROR_OTHER);
                exchange.end();
                Err(error)
            }
        })
    }
}

//! The client's side: a tower layer that gives each outgoing request a CLIENT span, and tells the
//! other side of it.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response, StatusCode};
use opentelemetry::trace::TraceContextExt as _;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::exchange::Exchange;
use super::{semconv, traceparent};

/// Gives each request that is sent one CLIENT span, and the request a `traceparent` that names it.
///
/// The span that is current when the request is sent is the parent. The span ends when the
/// response's head is there: the body belongs to whoever reads it. A status of 400 or more marks the
/// span as failed, as does a request that gets no answer.
pub fn client() -> ClientLayer {
    ClientLayer { _private: () }
}

/// The layer that [`client`] makes.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientLayer {
    _private: (),
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner }
    }
}

/// A service whose outgoing requests are traced; see [`client`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let mut exchange = start(request.method(), || {
            let uri = request.uri();
            let authority = uri.authority()?;
            Some(semconv::Target {
                scheme: uri.scheme_str().unwrap_or("http"),
                host: authority.host(),
                port: authority.port_u16(),
                has_userinfo: authority.as_str().contains('@'),
                path: uri.path(),
                query: uri.query(),
            })
        });
        inject(&exchange, request.headers_mut());
        let inner = exchange.run(|| self.inner.call(request));
        ClientFuture { inner, exchange }
    }
}

/// Starts the span of a request that is about to be sent.
pub(super) fn start<'a>(
    method: &http::Method,
    target: impl FnOnce() -> Option<semconv::Target<'a>>,
) -> Exchange {
    let method = semconv::method(method);
    let exchange = Exchange::new(info_span!(
        target: "spanline::http",
        "http.client",
        otel.kind = "client",
        otel.name = method.name,
    ));
    if !exchange.span().is_disabled() {
        method.describe(&exchange);
        if let Some(target) = target() {
            target.describe(&exchange);
        }
    }
    exchange
}

/// Tells the other side which span called. Where the filter keeps the client's span out, that is
/// the span around it.
pub(super) fn inject(exchange: &Exchange, headers: &mut HeaderMap) {
    let context = if exchange.span().is_disabled() {
        opentelemetry::Context::current()
    } else {
        exchange.span().context()
    };
    traceparent::inject(context.span().span_context(), headers);
}

/// Ends the span of a request that was answered.
pub(super) fn answered(exchange: &mut Exchange, status: StatusCode) {
    exchange.set(semconv::HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        exchange.fail(status.as_str().to_owned());
    }
    exchange.end();
}

pin_project! {
    /// The answer to a [`ClientService`]'s request. Dropped before there is one, it ends the span as
    /// `cancelled`.
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        exchange: Exchange,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let result = ready!(this.exchange.run(|| this.inner.poll(context)));
        match &result {
            Ok(response) => answered(this.exchange, response.status()),
            Err(error) => {
                this.exchange.fail(error_type(error));
                this.exchange.end();
            }
        }
        Poll::Ready(result)
    }
}

/// A word for why there was no answer, for the errors that are known here.
fn error_type(error: &dyn Any) -> &'static str {
    match error.downcast_ref::<hyper_util::client::legacy::Error>() {
        Some(error) if error.is_connect() => "connect",
        _ => "request",
    }
}

//! The client's side: a tower layer that gives each outgoing request a CLIENT span, and tells the
//! other side of it.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry_sdk::propagation::BaggagePropagator;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::span::EnteredSpan;

use super::counted::Counted;
use super::current::{InForce, current};
use super::exchange::{Begin, Exchange};
use super::method::Method;
use super::outcome::Error;
use super::start::{self, Place};
use super::{body, semconv, traceparent};
use crate::metrics::http::Asked;
use crate::span::{self, Content};

/// Gives each request that is sent one CLIENT span, and the request a `traceparent` that names it.
///
/// The span that is current when the request is sent is the parent. The span ends when the
/// response's head is there: the body belongs to whoever reads it. A status of 400 or more marks the
/// span as failed, as does a request that gets no answer.
///
/// Below a layer that tries again ([`tower::retry`](https://docs.rs/tower/latest/tower/retry)) each try
/// has a span of its own; [`ResendCount`] says which try it is.
pub fn client() -> ClientLayer {
    ClientLayer { place: Place::default() }
}

/// An extension of a request that is sent again: how often it was sent before. Whoever sends it again sets
/// it, and the span says it as `http.request.resend_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResendCount(pub u32);

/// The layer that [`client`] makes.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientLayer {
    place: Place,
}

impl ClientLayer {
    /// Puts the span in the OpenTelemetry context only, which costs less; see
    /// [`ServerLayer::context_only`](super::ServerLayer::context_only).
    pub fn context_only(mut self) -> Self {
        self.place = Place::Context;
        self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, place: self.place }
    }
}

/// A service whose outgoing requests are traced; see [`client`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    place: Place,
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
        let current = current();
        let resends =
            request.extensions().get().map(|ResendCount(count)| *count).filter(|count| *count > 0);
        let is_head = request.method() == http::Method::HEAD;
        let bytes = body::content_length(request.headers());
        let uri = request.uri();
        let target = uri.authority().map(|authority| semconv::Target {
            scheme: uri.scheme_str().unwrap_or("http"),
            host: authority.host(),
            port: authority.port_u16(),
            has_userinfo: authority.as_str().contains('@'),
            path: uri.path(),
            query: uri.query(),
        });
        let sent = Sent { method: request.method(), target, resends, bytes };
        let mut exchange = Exchange::untraced();
        let entered = sent.start(current.as_deref(), self.place, &mut exchange);
        let inner = exchange.begin(entered, |exchange| {
            inject(current.as_ref(), exchange, request.headers_mut());
            self.inner.call(request)
        });
        ClientFuture { inner, exchange, is_head }
    }
}

/// A request that is about to be sent.
pub(super) struct Sent<'a> {
    pub(super) method: &'a http::Method,
    pub(super) target: Option<semconv::Target<'a>>,
    pub(super) resends: Option<u32>,
    /// What its body weighs, if that is known.
    pub(super) bytes: Option<u64>,
}

impl Sent<'_> {
    /// Starts its span, and counts it as under way.
    pub(super) fn start(
        &self,
        current: Option<&InForce>,
        place: Place,
        exchange: &mut Exchange,
    ) -> Option<EnteredSpan> {
        let known = current.and_then(|current| current.http.known_methods.as_deref());
        let method = Method::of(self.method, known);
        let content = |content: &mut Content| {
            let said = content.request.insert(span::Request::of(method.value));
            said.resends = self.resends;
            method.describe(said);
            if let Some(target) = &self.target {
                target.describe(said);
            }
        };
        let begin = Begin { kind: SpanKind::Client, name: method.name.into(), content };
        let entered = start::client(current, place, begin, exchange);
        if let Some(current) = current {
            let target = self.target.as_ref();
            let requests = current.metrics.client.requests(&Asked {
                method: method.value,
                scheme: target.map_or("http", |target| target.scheme),
                server: target.map(|target| (target.address(), target.port())),
                route: None,
            });
            exchange.count(Counted::begin(requests, self.bytes, None));
        }
        entered
    }
}

/// Tells the other side which span called. Where the client has no span, that is the span around it.
pub(super) fn inject(current: Option<&Arc<InForce>>, exchange: &Exchange, headers: &mut HeaderMap) {
    let propagation = current.map(|current| current.http.propagation).unwrap_or_default();
    let mut tell = |context: &opentelemetry::Context| {
        if propagation.trace_context {
            traceparent::inject(context.span().span_context(), headers);
        }
        if propagation.baggage {
            BaggagePropagator::new().inject_context(context, &mut Headers(headers));
        }
    };
    match exchange.context() {
        Some(context) => tell(context),
        None => tell(&opentelemetry::Context::current()),
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Ends the span of a request that was answered. Of the answer's body its head tells the size, or nothing does.
pub(super) fn answered(
    exchange: &mut Exchange,
    status: StatusCode,
    headers: &HeaderMap,
    is_head: bool,
) {
    exchange.answered(status);
    if is_head || body::has_no_body(status) {
        exchange.sent(0);
    } else if let Some(bytes) = body::content_length(headers) {
        exchange.sent(bytes);
    }
    if status.is_client_error() || status.is_server_error() {
        exchange.fail(Error::Status(status));
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
        is_head: bool,
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
            Ok(response) => {
                let (status, headers) = (response.status(), response.headers());
                answered(this.exchange, status, headers, *this.is_head);
            }
            Err(error) => {
                this.exchange.fail(Error::Other(error_type(error)));
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

//! The server's side: a tower layer for tonic's server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use pin_project_lite::pin_project;
use tonic::Code;
use tower_layer::Layer;
use tower_service::Service;
use tracing::span::EnteredSpan;

use super::body::CallBody;
use super::call::Call;
use super::counted::Counted;
use super::method::Method;
use super::side::Side;
use super::status;
use crate::http::caller::{Caller, Callers};
use crate::http::current::current;
use crate::http::exchange::{Begin, Exchange};
use crate::http::headers::Headers;
use crate::http::semconv;
use crate::http::start::{self, Place};
use crate::span::{Content, unbracketed};

/// Gives each call one SERVER span, which the method runs in.
///
/// The span begins with the request's head and ends with the status, after the last message of a stream.
/// Statuses that are the server's own fault (`UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`,
/// `UNAVAILABLE`, `DATA_LOSS`) mark it as failed; `NOT_FOUND` and its like are answers.
///
/// ```
/// let server = tonic::transport::Server::builder()
///     .layer(spanline::grpc::server().exclude("grpc.health.v1.Health/Check"));
/// ```
pub fn server() -> ServerLayer {
    ServerLayer { settings: Arc::default() }
}

/// The layer that [`server`] makes.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerLayer {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    excluded: Vec<String>,
    callers: Callers,
    place: Place,
}

impl ServerLayer {
    /// Does not trace calls of exactly this method, such as `grpc.health.v1.Health/Check`.
    pub fn exclude(mut self, method: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.settings).excluded.push(method.into());
        self
    }

    /// How far callers are trusted; [`Callers::Trust`] by default.
    pub fn callers(mut self, callers: Callers) -> Self {
        Arc::make_mut(&mut self.settings).callers = callers;
        self
    }

    /// Puts the span in the OpenTelemetry context only, which costs less; see
    /// [`ServerLayer::context_only`](crate::http::ServerLayer::context_only).
    pub fn context_only(mut self) -> Self {
        Arc::make_mut(&mut self.settings).place = Place::Context;
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        ServerService { inner, settings: Arc::clone(&self.settings) }
    }
}

/// A service whose calls are traced; see [`server`].
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
    R::Error: 'static,
{
    type Response = Response<CallBody<R>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ServerFuture<S::Future> {
        let mut exchange = Exchange::untraced();
        let (entered, counted) = self.settings.start(&request, &mut exchange);
        let inner = exchange.begin(entered, |_| self.inner.call(request));
        let call = Call::new(exchange, Side::Server, counted);
        ServerFuture { inner: Some(inner), call: Some(call) }
    }
}

impl Settings {
    fn start<B>(
        &self,
        request: &Request<B>,
        exchange: &mut Exchange,
    ) -> (Option<EnteredSpan>, Option<Counted>) {
        let method = Method::of(request.uri().path());
        if self.excluded.iter().any(|excluded| excluded == method.name()) {
            return (None, None);
        }
        let current = current();
        let propagation =
            current.as_ref().map(|current| current.http.propagation).unwrap_or_default();
        let content = |content: &mut Content| {
            let attributes = &mut content.attributes;
            // The status comes later, as two attributes, and perhaps the reason of a failure.
            attributes.reserve_exact(Method::ATTRIBUTES + 2 + 3);
            method.describe(attributes);
            if let Some(authority) = request.uri().authority() {
                let host = semconv::bounded(unbracketed(authority.host()));
                attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, host.to_owned()));
                if let Some(port) = authority.port_u16() {
                    attributes.push(KeyValue::new(semconv::SERVER_PORT, i64::from(port)));
                }
            }
        };
        let name = method.name().to_owned().into();
        let begin = Begin { kind: SpanKind::Server, name, content };
        let headers = request.headers();
        let caller = Caller::of(&Headers::of(headers), headers, self.callers, propagation);
        let counted = current.as_ref().map(|current| Counted::begin(current, method.name(), None));
        (start::server(current.as_deref(), self.place, caller, begin, exchange), counted)
    }
}

pin_project! {
    /// The answer of a [`ServerService`]. Dropped before there is one, it ends the span as `CANCELLED`.
    pub struct ServerFuture<F> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<F>,
        // Moves into the body when the answer is there.
        call: Option<Call>,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What a handler says when it is given up, it says in its span.
            if let Some(call) = this.call.as_mut() {
                call.run(|| this.inner.set(None));
            }
        }
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: 'static,
{
    type Output = Result<Response<CallBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let result = ready!(match this.call.as_mut() {
            Some(call) => call.run(|| inner.poll(context)),
            None => inner.poll(context),
        });
        let call = this.call.take().unwrap_or_else(Call::untraced);
        Poll::Ready(answered(result, call, Code::Unknown))
    }
}

/// Ends the call if the answer's head, or the want of an answer, tells the status; hands it on to the body
/// otherwise.
pub(super) fn answered<R, E: 'static>(
    result: Result<Response<R>, E>,
    mut call: Call,
    without_answer: Code,
) -> Result<Response<CallBody<R>>, E> {
    match result {
        Ok(response) => {
            if let Some(code) = status::told(response.headers()) {
                call.end(code);
            } else if call.side() == Side::Client && !response.status().is_success() {
                call.end(status::of_http(response.status()));
            }
            Ok(response.map(|body| CallBody::new(body, call)))
        }
        Err(error) => {
            call.end(status::of_error(&error, without_answer));
            Err(error)
        }
    }
}

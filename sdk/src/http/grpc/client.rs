//! The client's side: a tower layer around tonic's channel.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, Uri};
use http_body::Body;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use pin_project_lite::pin_project;
use tonic::Code;
use tower_layer::Layer;
use tower_service::Service;

use super::body::CallBody;
use super::call::Call;
use super::counted::{Counted, Server};
use super::method::Method;
use super::server::answered;
use super::side::Side;
use crate::http::client::inject;
use crate::http::current::current;
use crate::http::exchange::{Begin, Exchange};
use crate::http::semconv;
use crate::http::start::{self, Place};
use crate::span::{Content, unbracketed};

/// Gives each call that is made one CLIENT span, and the server word of it.
///
/// The span that is current when the call is made is the parent. The span ends with the status, which a
/// stream tells after its last message. Every status but `OK` marks the span as failed.
pub fn client() -> ClientLayer {
    ClientLayer { place: Place::default(), server: None }
}

/// The layer that [`client`] makes.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientLayer {
    place: Place,
    server: Option<Arc<Server>>,
}

impl ClientLayer {
    /// Says where the channel leads, for the attributes `server.address` and `server.port`: tonic tells a
    /// layer the method only.
    pub fn server(mut self, endpoint: &Uri) -> Self {
        self.server = endpoint.host().map(|host| {
            let default_port = if endpoint.scheme_str() == Some("https") { 443 } else { 80 };
            Arc::new(Server {
                address: semconv::bounded(unbracketed(host)).into(),
                port: endpoint.port_u16().or(Some(default_port)),
            })
        });
        self
    }

    /// Puts the span in the OpenTelemetry context only, which costs less; see
    /// [`ServerLayer::context_only`](crate::http::ServerLayer::context_only).
    pub fn context_only(mut self) -> Self {
        self.place = Place::Context;
        self
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = ClientService<S>;

    fn layer(&self, inner: S) -> ClientService<S> {
        ClientService { inner, place: self.place, server: self.server.clone() }
    }
}

/// A service whose calls are traced; see [`client`].
#[derive(Clone, Debug)]
pub struct ClientService<S> {
    inner: S,
    place: Place,
    server: Option<Arc<Server>>,
}

impl<S, B, R> Service<Request<B>> for ClientService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
    R::Error: 'static,
{
    type Response = Response<CallBody<R>>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> ClientFuture<S::Future> {
        let current = current();
        let method = Method::of(request.uri().path());
        let content = |content: &mut Content| {
            let attributes = &mut content.attributes;
            // The status comes later, as two attributes, and perhaps the reason of a failure.
            attributes.reserve_exact(Method::ATTRIBUTES + 2 + 3);
            method.describe(attributes);
            if let Some(server) = &self.server {
                let address = Arc::clone(&server.address);
                attributes.push(KeyValue::new(semconv::SERVER_ADDRESS, address));
                if let Some(port) = server.port {
                    attributes.push(KeyValue::new(semconv::SERVER_PORT, i64::from(port)));
                }
            }
        };
        let name = method.name().to_owned().into();
        let begin = Begin { kind: SpanKind::Client, name, content };
        let mut exchange = Exchange::untraced();
        let entered = start::client(current.as_deref(), self.place, begin, &mut exchange);
        let server = self.server.as_ref();
        let counted =
            current.as_ref().map(|current| Counted::begin(current, method.name(), server));
        let inner = exchange.begin(entered, |exchange| {
            inject(current.as_ref(), exchange, request.headers_mut());
            self.inner.call(request)
        });
        let call = Call::new(exchange, Side::Client, counted);
        ClientFuture { inner, call: Some(call) }
    }
}

pin_project! {
    /// The answer to a [`ClientService`]'s call. Dropped before there is one, it ends the span as
    /// `CANCELLED`.
    pub struct ClientFuture<F> {
        #[pin]
        inner: F,
        // Moves into the body when the answer is there.
        call: Option<Call>,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: 'static,
{
    type Output = Result<Response<CallBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(match this.call.as_mut() {
            Some(call) => call.run(|| this.inner.poll(context)),
            None => this.inner.poll(context),
        });
        let call = this.call.take().unwrap_or_else(Call::untraced);
        // Without an answer there was no connection, or it broke.
        Poll::Ready(answered(result, call, Code::Unavailable))
    }
}

//! The server's side: a tower layer that gives each request a SERVER span.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::MatchedPath;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response};
use http_body::Body;
use opentelemetry::trace::SpanKind;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::span::EnteredSpan;

use super::caller::{Caller, Callers};
use super::counted::{Counted, LastRequests, Received};
use super::current::current;
use super::exchange::{Begin, Exchange};
use super::head::{Head, Recorded};
use super::headers::Headers;
use super::outcome::Error;
use super::polls::Polls;
use super::route::LastRoute;
use super::start::{self, Place};
use super::{body, method};
use super::{semconv, traceresponse};

/// Gives each request one SERVER span, which the handler runs in.
///
/// Put it on the router with [`axum::Router::layer`], after the routes: there it knows the route
/// that matched, and the span is called `GET /users/{id}`. Around a whole router, or around a service
/// without routes, the span is called `GET`: a raw path would make as many names as there are users.
///
/// The span begins with the request's head and ends with the response's last byte. Only a status of
/// 500 or more is the server's fault, and marks the span as failed.
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
    request_headers: Vec<Recorded>,
    response_headers: Vec<Recorded>,
    tells: Option<traceresponse::Header>,
    is_uncounted: bool,
    is_delay_measured: bool,
}

impl ServerLayer {
    /// Does not trace requests for exactly this path, such as a health check's.
    pub fn exclude(self, path: impl Into<String>) -> Self {
        self.with(|settings| settings.excluded.push(path.into()))
    }

    /// How far callers are trusted; [`Callers::Trust`] by default.
    pub fn callers(self, callers: Callers) -> Self {
        self.with(|settings| settings.callers = callers)
    }

    /// Puts the request's span in the OpenTelemetry context only, which costs half as much.
    ///
    /// Lines and spans in the handler, `#[tracing::instrument]` included, belong to it as before. What
    /// asks `tracing` for the span finds none, unless a span of the handler's own is around it:
    /// `Span::current().context()` is empty, and `in_current_span()` carries nothing into a task;
    /// [`spanline::spawn`](crate::spawn) does.
    pub fn context_only(self) -> Self {
        self.with(|settings| settings.place = Place::Context)
    }

    /// Leaves requests out of the metrics, for a router inside one whose layer counts them already.
    pub fn without_metrics(self) -> Self {
        self.with(|settings| settings.is_uncounted = true)
    }

    /// Measures how long requests wait between being woken and being polled
    /// (`spanline_http_server_scheduling_delay_seconds`): what they lose to others that keep the workers busy. It
    /// costs an allocation for each request.
    pub fn measure_scheduling_delay(self) -> Self {
        self.with(|settings| settings.is_delay_measured = true)
    }

    /// Records a header of requests as `http.request.header.<name>`. Mind what it may hold: cookies
    /// and tokens are nobody else's business.
    pub fn record_request_header(self, name: HeaderName) -> Self {
        let recorded = Recorded::new(semconv::HTTP_REQUEST_HEADER, name);
        self.with(|settings| settings.request_headers.push(recorded))
    }

    /// Records a header of responses as `http.response.header.<name>`.
    pub fn record_response_header(self, name: HeaderName) -> Self {
        let recorded = Recorded::new(semconv::HTTP_RESPONSE_HEADER, name);
        self.with(|settings| settings.response_headers.push(recorded))
    }

    /// Tells the caller the request's trace in a response header of this name: `traceresponse` has the
    /// form of a `traceparent`, and a header of another name has the trace id alone.
    ///
    /// ```
    /// use axum::http::HeaderName;
    /// let layer = spanline::http::server().tell_trace_id(HeaderName::from_static("x-trace-id"));
    /// ```
    pub fn tell_trace_id(self, header: HeaderName) -> Self {
        self.with(|settings| settings.tells = Some(traceresponse::Header::new(header)))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = ServerService<S>;

    fn layer(&self, inner: S) -> ServerService<S> {
        let shared = Shared {
            settings: Arc::clone(&self.settings),
            route: LastRoute::default(),
            requests: LastRequests::default(),
        };
        ServerService { inner, shared: Arc::new(shared) }
    }
}

/// A service whose requests are traced; see [`server`].
#[derive(Clone, Debug)]
pub struct ServerService<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    route: LastRoute,
    requests: LastRequests,
}

impl<S, B, R> Service<Request<B>> for ServerService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Response = Response<axum::body::Body>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ServerFuture<S::Future> {
        let answers_head = request.method() == Method::HEAD;
        let settings =
            self.shared.settings.has_response_work().then(|| Arc::clone(&self.shared.settings));
        // Made where it stays, and then filled: each move is a copy.
        let exchange = Exchange::untraced();
        let mut future = ServerFuture { inner: None, exchange, answers_head, settings };
        let entered = self.shared.start(&request, &mut future.exchange);
        future.inner = Some(future.exchange.begin(entered, |_| self.inner.call(request)));
        future
    }
}

impl Settings {
    /// Whether a response needs to be looked at.
    fn has_response_work(&self) -> bool {
        self.tells.is_some() || !self.response_headers.is_empty()
    }
}

impl Shared {
    #[inline]
    fn start<B>(&self, request: &Request<B>, exchange: &mut Exchange) -> Option<EnteredSpan> {
        let settings = &*self.settings;
        if settings.excluded.iter().any(|path| path == request.uri().path()) {
            return None;
        }
        let current = current();
        let http = current.as_ref().map(|current| &current.http);
        let known = http.and_then(|http| http.known_methods.as_deref());
        let propagation = http.map(|http| http.propagation).unwrap_or_default();
        let method = method::Method::of(request.method(), known);
        let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = template.map(|template| (template, self.route.find(template)));
        let name = match route {
            Some((_, Some(route))) => route.name(&method),
            Some((template, None)) => format!("{} {template}", method.name).into(),
            None => method.name.into(),
        };
        let headers = Headers::of(request.headers());
        let head = Head { request, headers, method, route, recorded: &settings.request_headers };
        let begin =
            Begin { kind: SpanKind::Server, name, content: |content: &mut _| head.say(content) };
        let caller = Caller::of(&headers, request.headers(), settings.callers, propagation);
        let entered = start::server(current.as_deref(), settings.place, caller, begin, exchange);
        if let Some(current) = current.as_ref().filter(|_| !settings.is_uncounted) {
            let scheme = semconv::scheme(request.uri());
            let received = Received { method: &method, scheme, route };
            let requests = self.requests.find(&current.metrics.server, received);
            let bytes = headers.content_length.and_then(body::length);
            let polls = Polls::new(current.http.slow_poll);
            let polls = if settings.is_delay_measured { polls.with_delay() } else { polls };
            exchange.count(Counted::begin(requests, bytes, Some(polls)));
        }
        entered
    }
}

pin_project! {
    /// The answer of a [`ServerService`]. Dropped before there is one, it ends the span as `cancelled`.
    pub struct ServerFuture<F> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<F>,
        // Moves into the body when the answer is there.
        exchange: Exchange,
        answers_head: bool,
        // Only where the response's head is of interest.
        settings: Option<Arc<Settings>>,
    }

    impl<F> PinnedDrop for ServerFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What a handler says when it is given up, it says in its span.
            this.exchange.run(|| this.inner.set(None));
        }
    }
}

impl<F, R, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Output = Result<Response<axum::body::Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let exchange = this.exchange;
        let result = ready!(exchange.poll(context, |context| inner.poll(context)));
        let answer = match result {
            Ok(mut response) => {
                let status = response.status();
                exchange.answered(status);
                if status.is_server_error() {
                    exchange.fail(Error::Status(status));
                }
                if let Some(settings) = this.settings {
                    let recorded = settings.response_headers.iter();
                    exchange.describe(recorded.filter_map(|one| one.read(response.headers())));
                    if let (Some(header), Some(span)) = (&settings.tells, exchange.span_context()) {
                        header.tell(&span, response.headers_mut());
                    }
                }
                let (head, body) = response.into_parts();
                let body = body::watched(body, exchange, status, &head.headers, *this.answers_head);
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                exchange.fail(Error::OTHER);
                exchange.end_with_poll();
                Err(error)
            }
        };
        // What is dropped from now on is dropped outside.
        *exchange = Exchange::untraced();
        Poll::Ready(answer)
    }
}

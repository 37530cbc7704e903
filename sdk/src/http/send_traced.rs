//! `send_traced` for reqwest's request builder.

use super::client::{self, Sent};
use super::current::current;
use super::exchange::Exchange;
use super::outcome::Error;
use super::start::Place;
use super::{body, semconv};

/// Sends a request in a CLIENT span of its own; see [`client`](super::client()).
pub trait SendTraced {
    /// As [`reqwest::RequestBuilder::send`], in a CLIENT span that the receiver learns of.
    ///
    /// The span begins with this call, as a child of the current span, and not with the first poll:
    /// the future may be spawned.
    ///
    /// # Errors
    ///
    /// Those of [`reqwest::RequestBuilder::send`].
    fn send_traced(self) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send;
}

impl SendTraced for reqwest::RequestBuilder {
    fn send_traced(self) -> impl Future<Output = reqwest::Result<reqwest::Response>> + Send {
        let (sender, request) = self.build_split();
        let started = request.map(|mut request| {
            let current = current();
            let place = Place::default();
            let url = request.url();
            let target = url.host_str().map(|host| semconv::Target {
                scheme: url.scheme(),
                host,
                port: url.port(),
                has_userinfo: !url.username().is_empty() || url.password().is_some(),
                path: url.path(),
                query: url.query(),
            });
            let bytes = bytes(&request);
            let sent = Sent { method: request.method(), target, resends: None, bytes };
            let mut exchange = Exchange::untraced();
            let entered = sent.start(current.as_deref(), place, &mut exchange);
            let headers = request.headers_mut();
            let inject = |exchange: &Exchange| client::inject(current.as_ref(), exchange, headers);
            exchange.begin(entered, inject);
            let is_head = request.method() == reqwest::Method::HEAD;
            (exchange, request, is_head)
        });
        async move {
            let (mut exchange, request, is_head) = started?;
            let mut sending = std::pin::pin!(sender.execute(request));
            let result =
                std::future::poll_fn(|context| exchange.run(|| sending.as_mut().poll(context)))
                    .await;
            match &result {
                Ok(response) => {
                    let (status, headers) = (response.status(), response.headers());
                    client::answered(&mut exchange, status, headers, is_head);
                }
                Err(error) => {
                    exchange.fail(Error::Other(error_type(error)));
                    exchange.end();
                }
            }
            result
        }
    }
}

/// What the request's body weighs; of a stream nobody knows.
fn bytes(request: &reqwest::Request) -> Option<u64> {
    let Some(body) = request.body() else { return Some(0) };
    let bytes = body.as_bytes().and_then(|bytes| u64::try_from(bytes.len()).ok());
    bytes.or_else(|| body::content_length(request.headers()))
}

/// A word for why there was no answer. A timeout comes first: one while connecting is both.
fn error_type(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_redirect() {
        "redirect"
    } else if error.is_body() {
        "body"
    } else {
        "request"
    }
}

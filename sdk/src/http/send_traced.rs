//! `send_traced` for reqwest's request builder.

use super::exchange::{Error, Exchange};
use super::start::Place;
use super::{client, semconv};
use crate::span;

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
            let current = span::current();
            let place = Place::default();
            let mut started =
                client::start(current.as_ref(), place, request.method(), None, || {
                    let url = request.url();
                    Some(semconv::Target {
                        scheme: url.scheme(),
                        host: url.host_str()?,
                        port: url.port(),
                        has_userinfo: !url.username().is_empty() || url.password().is_some(),
                        path: url.path(),
                        query: url.query(),
                    })
                });
            let headers = request.headers_mut();
            let inject = |exchange: &Exchange| client::inject(current.as_ref(), exchange, headers);
            let (exchange, ()) = started.run(inject);
            (exchange, request)
        });
        async move {
            let (mut exchange, request) = started?;
            let mut sending = std::pin::pin!(sender.execute(request));
            let result =
                std::future::poll_fn(|context| exchange.run(|| sending.as_mut().poll(context)))
                    .await;
            match &result {
                Ok(response) => client::answered(&mut exchange, response.status()),
                Err(error) => {
                    exchange.fail(Error::Other(error_type(error)));
                    exchange.end();
                }
            }
            result
        }
    }
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

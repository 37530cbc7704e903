//! The response body that keeps its request's span open until the last byte is handed over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::Exchange;
use super::outcome::Error;

/// A body whose end is the end of the exchange, which moves into it if need be. It is the body itself, without a box around it, where
/// nobody would see the difference.
pub(super) fn watched<B>(
    inner: B,
    exchange: &mut Exchange,
    status: StatusCode,
    headers: &HeaderMap,
    answers_head: bool,
) -> axum::body::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    // A body whose length is known is there already: it runs no code of the program's that would want the
    // span.
    let is_there = inner.size_hint().exact().is_some();
    let remaining = if is_there { None } else { content_length(headers) };
    let ends_here =
        answers_head || has_no_body(status) || remaining == Some(0) || inner.is_end_stream();
    if let (true, Some(bytes)) = (is_there || ends_here, inner.size_hint().exact()) {
        // What a server does not send for want of a body is not counted.
        exchange.sent(if answers_head || has_no_body(status) { 0 } else { bytes });
    }
    if ends_here || (!exchange.is_recorded() && is_there) {
        exchange.end_with_poll();
        axum::body::Body::new(inner)
    } else {
        let exchange = std::mem::replace(exchange, Exchange::untraced());
        axum::body::Body::new(Watched { inner, exchange, remaining, is_there })
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    length(headers.get(CONTENT_LENGTH)?)
}

/// What a `content-length` says.
pub(super) fn length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// Statuses after which a server sends no body, whatever the handler returned with them.
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

pin_project! {
    /// Dropped before its end (the client went away), it ends the span as `cancelled`.
    struct Watched<B> {
        #[pin]
        inner: B,
        exchange: Exchange,
        // A server may drop a body as soon as it has sent the promised length.
        remaining: Option<u64>,
        is_there: bool,
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(if *this.is_there {
            this.inner.as_mut().poll_frame(context)
        } else {
            this.exchange.run(|| this.inner.as_mut().poll_frame(context))
        });
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let sent = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                    if !*this.is_there {
                        this.exchange.sent(sent);
                    }
                    if let Some(remaining) = this.remaining.as_mut() {
                        *remaining = remaining.saturating_sub(sent);
                    }
                }
                if *this.remaining == Some(0) || this.inner.is_end_stream() {
                    this.exchange.end();
                }
            }
            Some(Err(_)) => {
                this.exchange.fail(Error::BODY);
                this.exchange.end();
            }
            None => this.exchange.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

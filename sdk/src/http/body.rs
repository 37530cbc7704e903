//! The response body that keeps its request's span open until the last byte is handed over.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf as _;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::{Error, Exchange};

pin_project! {
    /// A response body whose end is the end of the request's span.
    ///
    /// Dropped before its end (the client went away), the span ends with `error.type` `cancelled`.
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        exchange: Exchange,
        // A server may drop a body as soon as it has sent the promised length.
        remaining: Option<u64>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(
        inner: B,
        mut exchange: Exchange,
        status: StatusCode,
        headers: &HeaderMap,
        answers_head: bool,
    ) -> Self {
        let remaining =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if answers_head || has_no_body(status) || remaining == Some(0) || inner.is_end_stream() {
            exchange.end();
        }
        Self { inner, exchange, remaining }
    }
}

/// Statuses after which a server sends no body, whatever the handler returned with them.
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.exchange.run(|| this.inner.as_mut().poll_frame(context)));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(remaining), Some(data)) = (this.remaining.as_mut(), frame.data_ref()) {
                    let sent = u64::try_from(data.remaining()).unwrap_or(u64::MAX);
                    *remaining = remaining.saturating_sub(sent);
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

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self { inner: B::default(), exchange: Exchange::untraced(), remaining: None }
    }
}

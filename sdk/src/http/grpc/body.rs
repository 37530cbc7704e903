//! The response body that keeps its call's span open until the status has come by.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Code;

use super::call::Call;
use super::status;

pin_project! {
    /// A response body whose status is the end of the call's span.
    ///
    /// Dropped before its end (a stream that nobody wants any more, a client that went away), the span
    /// ends as `CANCELLED`.
    pub struct CallBody<B> {
        #[pin]
        inner: B,
        call: Call,
    }
}

impl<B> CallBody<B> {
    pub(super) fn new(inner: B, call: Call) -> Self {
        Self { inner, call }
    }
}

impl<B> Body for CallBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let call = this.call;
        let frame = ready!(call.run(|| this.inner.poll_frame(context)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    call.end(status::told(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(error)) => call.end(status::of_error(error, Code::Unknown)),
            // A stream that ends without a status was cut off.
            None => call.end(Code::Unknown),
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

impl<B: Default> Default for CallBody<B> {
    fn default() -> Self {
        Self { inner: B::default(), call: Call::untraced() }
    }
}

//! Tasks that belong to the span they were spawned in.

use std::pin::Pin;
use std::task::Poll;

use opentelemetry::Context;
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;
use tracing::Span;

/// As [`tokio::spawn`], in the span that is active where it is called: lines and spans of the task belong to
/// the same trace.
///
/// It takes along what `tracing` has as its span and what OpenTelemetry has as its context, baggage
/// included; `in_current_span()` takes the first only. A request's span ends with its answer, however long a
/// task goes on.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let span = tracing::info_span!("order");
/// let _entered = span.enter();
/// spanline::spawn(async { tracing::info!("a line of the order's trace") }).await.unwrap();
/// # });
/// ```
///
/// # Panics
///
/// Those of [`tokio::spawn`]: there is no runtime.
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
    F::Output: 'static,
{
    tokio::spawn(InSpan {
        span: Span::current(),
        context: Context::current(),
        future: Some(future),
    })
}

pin_project! {
    struct InSpan<F> {
        span: Span,
        context: Context,
        // `None` only while it is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for InSpan<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What a task says when it is aborted, it says in its span.
            let _entered = this.span.enter();
            let _attached = this.context.clone().attach();
            this.future.set(None);
        }
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // The `tracing` span brings a context of its own; a span within it, if there was one, comes second.
        let _entered = this.span.enter();
        let _attached = this.context.clone().attach();
        match this.future.as_pin_mut() {
            Some(future) => future.poll(context),
            None => Poll::Pending,
        }
    }
}

//! Takes every span when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::queue::SpanQueue;

/// How long `force_flush`, which is given no time, may take.
const FORCE_FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Hands ended spans to the queue.
#[derive(Debug)]
pub(super) struct Processor {
    queue: Arc<SpanQueue>,
    batch_spans: usize,
}

impl Processor {
    pub(super) fn new(queue: Arc<SpanQueue>, batch_spans: usize) -> Self {
        Self { queue, batch_spans }
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.queue.push(span, self.batch_spans);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        in_time(self.queue.flush(Instant::now() + FORCE_FLUSH_TIMEOUT), FORCE_FLUSH_TIMEOUT)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        in_time(self.queue.close(Instant::now() + timeout), timeout)
    }
}

fn in_time(done: bool, timeout: Duration) -> OTelSdkResult {
    if done { Ok(()) } else { Err(OTelSdkError::Timeout(timeout)) }
}

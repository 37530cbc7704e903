//! Takes every span when it ends.

use std::sync::Arc;

use super::queue::SpanQueue;
use crate::span::{Ended, Sink};

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

impl Sink for Processor {
    fn take(&self, span: &mut Option<Ended>) {
        self.queue.push(span, self.batch_spans);
    }
}

/// Nobody wants spans; they have ids all the same.
#[derive(Debug)]
pub(super) struct Nobody;

impl Sink for Nobody {
    fn take(&self, _: &mut Option<Ended>) {}
}

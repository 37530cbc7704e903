//! The account of the pushes: each of them ends in one of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::otlp::Timings;

/// What became of the pushes.
#[derive(Debug, Default)]
pub(super) struct PushLedger {
    pub(super) delivered: AtomicU64,
    /// Nobody answered, or only "later", until the time was up.
    pub(super) unreachable: AtomicU64,
    pub(super) refused: AtomicU64,
    /// The sender panicked.
    pub(super) failed: AtomicU64,
    /// Data points that the receiver rejected out of pushes that it took.
    pub(super) rejected_points: AtomicU64,
    pub(super) timings: Arc<Timings>,
}

impl PushLedger {
    /// Every result's name and count, for a counter's label.
    pub(super) fn by_result(&self) -> [(&'static str, u64); 4] {
        [
            ("delivered", &self.delivered),
            ("unreachable", &self.unreachable),
            ("refused", &self.refused),
            ("failed", &self.failed),
        ]
        .map(|(result, count)| (result, count.load(Ordering::Relaxed)))
    }
}

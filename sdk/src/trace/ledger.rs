//! The account of every span: where it went, or why it did not.

/// What became of the spans that ended. At every moment `ended = exported + queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanLedger {
    /// Sampled spans that ended.
    pub ended: u64,
    /// Spans that the receiver has taken.
    pub exported: u64,
    /// Spans that wait or are on their way.
    pub queued: u64,
    /// Spans that nobody will see, by reason.
    pub dropped: SpanDrops,
}

/// Spans that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanDrops {
    /// The queue was full: the receiver is away or too slow.
    pub queue_full: u64,
    /// The receiver refused the batch for good, or these spans of it.
    pub rejected: u64,
    /// The exporter failed in a way it should not (a panic); its batch is gone.
    pub exporter_failed: u64,
    /// They ended after the shutdown, or its deadline passed while they waited.
    pub shutdown: u64,
}

impl SpanDrops {
    /// Every reason's name and count, for a counter's label.
    pub const fn by_reason(&self) -> [(&'static str, u64); 4] {
        [
            ("queue_full", self.queue_full),
            ("rejected", self.rejected),
            ("exporter_failed", self.exporter_failed),
            ("shutdown", self.shutdown),
        ]
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.queue_full + self.rejected + self.exporter_failed + self.shutdown
    }
}

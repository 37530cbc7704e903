//! The account of every line: where it went, or why it did not.

/// What became of the log lines so far. At every moment `emitted = written + queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineLedger {
    /// Events that passed the filter and were to become a line.
    pub emitted: u64,
    /// Lines that the operating system has taken.
    pub written: u64,
    /// Lines that wait for the output.
    pub queued: u64,
    /// Lines that nobody will see, by reason.
    pub dropped: LineDrops,
}

/// Lines that were dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LineDrops {
    /// The queue was full: whoever reads the output is too slow, or stopped reading.
    pub queue_full: u64,
    /// The output refused them: the pipe's reader is gone, the disk is full or broken.
    pub io_error: u64,
    /// They came after the shutdown, or the shutdown's deadline passed while they waited.
    pub shutdown: u64,
    /// They came from inside the formatting of a line that came from inside another's, and so on.
    pub recursion: u64,
}

impl LineDrops {
    /// Every reason's name and count, for a counter's label.
    pub const fn by_reason(&self) -> [(&'static str, u64); 4] {
        [
            ("queue_full", self.queue_full),
            ("io_error", self.io_error),
            ("shutdown", self.shutdown),
            ("recursion", self.recursion),
        ]
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.queue_full + self.io_error + self.shutdown + self.recursion
    }

    /// What came on top of an earlier account.
    pub(crate) const fn since(&self, earlier: &Self) -> Self {
        Self {
            queue_full: self.queue_full - earlier.queue_full,
            io_error: self.io_error - earlier.io_error,
            shutdown: self.shutdown - earlier.shutdown,
            recursion: self.recursion - earlier.recursion,
        }
    }
}

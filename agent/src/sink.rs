//! Where a source hands its batches: the one thing `tail` and `receive` know of what comes after.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::ack::Ack;
use crate::record::Batch;

/// A batch, and the token by which its source learns what became of it.
#[derive(Debug)]
pub struct Delivery {
    /// What is delivered.
    pub batch: Batch,
    /// Roughly how many bytes of memory it holds; queues are bounded by the sum.
    pub size_bytes: usize,
    /// Answered by every exporter.
    pub ack: Ack,
}

/// The way onward, of whichever length.
pub trait Sink: Send + Sync + 'static {
    /// Hands a delivery on, waiting until every queue has room: for a source that can wait
    /// because its data is on disk anyway.
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Hands a delivery on if every queue has room now, else to none of them: for a source that
    /// can tell its sender to come back.
    ///
    /// # Errors
    /// [`Full`] when a queue has no room; the delivery's ack is then told that it is lost.
    fn try_send(&self, delivery: Delivery) -> Result<(), Full>;
}

/// A queue had no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue of an exporter is full")
    }
}

impl std::error::Error for Full {}

//! How a source learns what became of a batch, without either end knowing the other.
//!
//! An [`Ack`] travels with a batch and is cloned for every exporter. When the last clone is gone,
//! the source is told once: [`Outcome::Delivered`] if every clone said so, else
//! [`Outcome::Lost`]. A clone that is dropped without a word (a panic, a shutdown) counts as lost,
//! so nothing can be forgotten into "delivered".

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every exporter has it, or has refused it for good: nobody wants to see it again.
    Delivered,
    /// At least one exporter gave it up or was stopped before it had it.
    Lost,
}

/// One exporter's share in the answer to a batch.
#[derive(Clone)]
pub struct Ack {
    shared: Arc<Shared>,
    answered: bool,
}

struct Shared {
    lost: AtomicBool,
    tell: Option<Box<dyn Fn(Outcome) + Send + Sync>>,
}

impl Ack {
    /// An ack that calls `tell` once, when the last clone has answered. `tell` runs wherever that
    /// happens, so it must be quick and must not block.
    pub fn new(tell: impl Fn(Outcome) + Send + Sync + 'static) -> Self {
        let shared = Shared { lost: AtomicBool::new(false), tell: Some(Box::new(tell)) };
        Self { shared: Arc::new(shared), answered: false }
    }

    /// An ack of which nobody wants to hear.
    pub fn nobody() -> Self {
        let shared = Shared { lost: AtomicBool::new(false), tell: None };
        Self { shared: Arc::new(shared), answered: false }
    }

    /// This exporter has the batch for good, or will never take what it has not.
    pub fn delivered(mut self) {
        self.answered = true;
    }

    /// This exporter gave the batch up; the same as dropping the ack, but said aloud.
    pub fn lost(self) {
        drop(self);
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.answered {
            // Released by the reference count that `Shared`'s drop acquires.
            self.shared.lost.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(tell) = &self.tell {
            tell(if *self.lost.get_mut() { Outcome::Lost } else { Outcome::Delivered });
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("answered", &self.answered).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn recording() -> (Ack, Arc<Mutex<Vec<Outcome>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ack = Ack::new({
            let told = Arc::clone(&told);
            move |outcome| told.lock().unwrap().push(outcome)
        });
        (ack, told)
    }

    #[test]
    fn delivered_is_told_once_after_the_last_exporter() {
        let (ack, told) = recording();
        let other = ack.clone();
        ack.delivered();
        assert!(told.lock().unwrap().is_empty());
        other.delivered();
        assert_eq!(*told.lock().unwrap(), [Outcome::Delivered]);
    }

    #[test]
    fn one_silent_drop_makes_it_lost() {
        let (ack, told) = recording();
        let other = ack.clone();
        ack.delivered();
        drop(other);
        assert_eq!(*told.lock().unwrap(), [Outcome::Lost]);
    }
}

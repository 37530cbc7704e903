//! How the future of one request is polled: for how long, whether too long at a time, and how long after it was
//! woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Polled;

/// Watches the polls of one future.
#[derive(Debug)]
pub(super) struct Polls {
    threshold: Duration,
    polled: Polled,
    over_at: Option<Instant>,
    woken: Option<Arc<Woken>>,
}

/// A poll that goes on.
#[derive(Debug)]
pub(super) struct Poll(Instant);

impl Polls {
    /// A poll that takes longer than `threshold` is slow.
    pub(super) fn new(threshold: Duration) -> Self {
        Self { threshold, polled: Polled::default(), over_at: None, woken: None }
    }

    /// Measures the delay between a wake and the poll that follows as well. It takes a waker of our own, which is
    /// an allocation.
    pub(super) fn with_delay(mut self) -> Self {
        self.polled.delay = Some(Duration::ZERO);
        self.woken = Some(Arc::new(Woken::new()));
        self
    }

    /// Begins a poll. It is to be made with the waker, if there is one.
    pub(super) fn begin(&mut self, waker: &Waker) -> (Poll, Option<Waker>) {
        let now = Instant::now();
        let waker = self.woken.as_ref().map(|woken| {
            if let (Some(at), Some(delay)) = (woken.take(), &mut self.polled.delay) {
                *delay += now.saturating_duration_since(at);
            }
            woken.wakes(waker);
            Waker::from(Arc::clone(woken))
        });
        (Poll(now), waker)
    }

    /// The poll is over.
    pub(super) fn end(&mut self, poll: &Poll) {
        let now = Instant::now();
        let took = now.saturating_duration_since(poll.0);
        self.over_at = Some(now);
        self.polled.time += took;
        self.polled.slow += u64::from(took > self.threshold);
    }

    /// When the latest poll was over.
    pub(super) fn over_at(&self) -> Option<Instant> {
        self.over_at
    }

    pub(super) fn polled(&self) -> Polled {
        self.polled
    }
}

/// Passes a wake on, and remembers when it came.
#[derive(Debug)]
struct Woken {
    epoch: Instant,
    /// Since the epoch; of several wakes before one poll the first counts.
    after_nanos: AtomicU64,
    task: Mutex<Option<Waker>>,
}

impl Woken {
    const NOT: u64 = u64::MAX;

    fn new() -> Self {
        let after_nanos = AtomicU64::new(Self::NOT);
        Self { epoch: Instant::now(), after_nanos, task: Mutex::default() }
    }

    fn take(&self) -> Option<Instant> {
        let nanos = self.after_nanos.swap(Self::NOT, Ordering::Relaxed);
        (nanos != Self::NOT).then(|| self.epoch + Duration::from_nanos(nanos))
    }

    fn wakes(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *task {
            Some(task) => task.clone_from(waker),
            None => *task = Some(waker.clone()),
        }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let nanos = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(Self::NOT - 1);
        let _first = self.after_nanos.compare_exchange(
            Self::NOT,
            nanos,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        // Not woken under the lock: a wake may run code of the executor's.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const THRESHOLD: Duration = Duration::from_millis(10);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_is_slow_if_it_takes_longer_than_the_threshold() {
        let mut polls = Polls::new(THRESHOLD);
        for took in [3, 10, 11, 40] {
            let (poll, waker) = polls.begin(Waker::noop());
            assert!(waker.is_none());
            advance(millis(took)).await;
            polls.end(&poll);
            // Between polls.
            advance(millis(500)).await;
        }
        let expected = Polled { slow: 2, time: millis(64), delay: None };
        assert_eq!(polls.polled(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_the_time_from_the_first_wake_to_the_next_poll() {
        let mut polls = Polls::new(THRESHOLD).with_delay();
        let (poll, waker) = polls.begin(Waker::noop());
        polls.end(&poll);
        let waker = waker.unwrap();
        // It waits for something: no delay.
        advance(millis(100)).await;
        waker.wake_by_ref();
        advance(millis(2)).await;
        waker.wake_by_ref();
        advance(millis(3)).await;
        let (poll, _) = polls.begin(Waker::noop());
        polls.end(&poll);
        // Polled though nobody woke it.
        advance(millis(100)).await;
        let (poll, waker) = polls.begin(Waker::noop());
        // Woken while it is polled.
        waker.unwrap().wake();
        advance(millis(1)).await;
        polls.end(&poll);
        advance(millis(1)).await;
        let (poll, _) = polls.begin(Waker::noop());
        polls.end(&poll);
        let expected = Polled { slow: 0, time: millis(1), delay: Some(millis(7)) };
        assert_eq!(polls.polled(), expected);
    }

    #[tokio::test]
    async fn a_wake_is_passed_on_to_whoever_polled_last() {
        struct Counts(AtomicU64);
        impl Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let tasks = [0, 1].map(|_| Arc::new(Counts(AtomicU64::new(0))));
        let mut polls = Polls::new(THRESHOLD).with_delay();
        let wakers = tasks.clone().map(|task| polls.begin(&Waker::from(task)).1.unwrap());
        wakers[0].wake_by_ref();
        assert_eq!(tasks.map(|task| task.0.load(Ordering::Relaxed)), [0, 1]);
    }
}

//! How much more two threads do than one.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::WARM_UP_OPERATIONS;
use crate::work::Operation;

/// Long beside the moment that a thread takes to start: else the one is done before the other begins.
const LONG: Duration = Duration::from_millis(40);

/// The work of two threads in a time, over the work of one in the same; of so many operations, or of more
/// where these take too little time to tell.
pub fn speedup(each: fn() -> Operation, mut operations: u32) -> f64 {
    let mut alone = longest(1, each, operations);
    while alone < LONG {
        operations = operations.saturating_mul(2);
        alone = longest(1, each, operations);
    }
    let together = longest(2, each, operations);
    2.0 * alone.as_secs_f64() / together.as_secs_f64()
}

/// The time that the slowest of so many threads takes for its operations, all of them started at once.
fn longest(threads: usize, each: fn() -> Operation, operations: u32) -> Duration {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut operation = each();
                    for _ in 0..WARM_UP_OPERATIONS {
                        operation();
                    }
                    start.wait();
                    let began = Instant::now();
                    for _ in 0..operations {
                        operation();
                    }
                    began.elapsed()
                })
            })
            .collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).max().unwrap_or_default()
    })
}

//! Waiting for a condition, with a deadline and an account of what was seen instead.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take that normally takes a moment: a busy machine is not a failure.
pub const WITHIN: Duration = Duration::from_secs(30);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `look` succeeds.
///
/// # Panics
///
/// When it has not after [`WITHIN`], with the last thing that it said instead.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + WITHIN;
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) => assert!(
                Instant::now() < deadline,
                "not within {} s: {what}; the last look saw: {instead}",
                WITHIN.as_secs()
            ),
        }
        sleep(POLL_INTERVAL).await;
    }
}

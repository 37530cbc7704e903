//! How long to wait until a delivery is tried again.

use std::time::Duration;

use crate::config::Retry;

/// The shortest pause, so that a setting of nothing is no busy loop.
const SHORTEST: Duration = Duration::from_millis(1);
/// What a server may ask for; a longer wait is cut to this.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(5 * 60);

/// The pauses of one delivery.
#[derive(Debug)]
pub(super) struct Backoff {
    retry: Retry,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(retry: Retry) -> Self {
        Self { retry, next: retry.initial_interval }
    }

    /// The next pause, given that `elapsed` is the time since the first attempt began and that the server may have asked
    /// to be left alone for a while, which goes before our own reckoning; `None` when it is time to give up. `random`
    /// is between 0 and 1.
    pub(super) fn pause(
        &mut self,
        elapsed: Duration,
        asked_for: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        let Retry {
            enabled, randomization_factor, multiplier, max_interval, max_elapsed_time, ..
        } = self.retry;
        let pause = match asked_for {
            Some(asked_for) => asked_for.min(LONGEST_ASKED_FOR),
            None => {
                let spread = 1.0 - randomization_factor + 2.0 * randomization_factor * random;
                let pause = self.next.mul_f64(spread);
                let next = (self.next.as_secs_f64() * multiplier).min(max_interval.as_secs_f64());
                self.next = Duration::from_secs_f64(next.max(0.0));
                pause
            }
        };
        let pause = pause.max(SHORTEST);
        let is_over = max_elapsed_time.is_some_and(|most| elapsed + pause > most);
        (enabled && !is_over).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pauses(retry: Retry, random: f64) -> Vec<Duration> {
        let (mut backoff, mut elapsed) = (Backoff::new(retry), Duration::ZERO);
        std::iter::from_fn(|| {
            let pause = backoff.pause(elapsed, None, random)?;
            elapsed += pause;
            Some(pause)
        })
        .take(20)
        .collect()
    }

    #[test]
    fn pauses_grow_to_the_longest_and_end_when_it_is_time() {
        let millis = Duration::from_millis;
        let retry = Retry {
            initial_interval: millis(100),
            multiplier: 3.0,
            max_interval: millis(500),
            max_elapsed_time: Some(millis(1_500)),
            ..Retry::default()
        };
        assert_eq!(pauses(retry, 0.5), [100, 300, 500, 500].map(millis));
        let unbounded = Retry { max_elapsed_time: None, ..retry };
        assert_eq!(pauses(unbounded, 0.5).len(), 20);
        assert!(pauses(Retry { enabled: false, ..retry }, 0.5).is_empty());
        assert_eq!(pauses(retry, 0.0)[0], millis(50));
        assert_eq!(pauses(Retry { randomization_factor: 0.0, ..retry }, 0.9)[0], millis(100));
    }

    #[test]
    fn what_the_server_asks_for_goes_before_but_not_for_ever() {
        let mut backoff = Backoff::new(Retry::default());
        let mut pause = |asked| backoff.pause(Duration::ZERO, Some(asked), 0.5).unwrap();
        assert_eq!(pause(Duration::from_secs(7)), Duration::from_secs(7));
        assert_eq!(pause(Duration::from_secs(1 << 40)), LONGEST_ASKED_FOR);
    }

    proptest! {
        #[test]
        fn a_pause_is_never_outside_its_window(
            initial in 0_u64..10_000, factor in 0.0..=1.0, multiplier in 1.0..1e9, random in 0.0..=1.0,
        ) {
            let retry = Retry {
                initial_interval: Duration::from_millis(initial),
                randomization_factor: factor,
                multiplier,
                ..Retry::default()
            };
            let longest = retry.max_interval.max(retry.initial_interval).mul_f64(1.0 + factor) + SHORTEST;
            for pause in pauses(retry, random) {
                prop_assert!(pause >= SHORTEST && pause <= longest);
            }
        }
    }
}

//! How long requests to a receiver take, by what became of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Answer, Sender};

/// Seconds: what takes no longer than a bound is counted there. The default timeout is the last.
pub(crate) const BOUNDS: [f64; 11] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const OUTCOMES: [&str; 5] = ["taken", "later", "distrusted", "refused", "unanswered"];
const UNANSWERED: usize = 4;

/// The times of all requests of a signal.
#[derive(Debug, Default)]
pub(crate) struct Timings([Timing; OUTCOMES.len()]);

#[derive(Debug, Default)]
struct Timing {
    /// The last one is of those above all bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What was measured of the requests with one outcome.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimingReading {
    pub(crate) outcome: &'static str,
    /// One for each bound, and one for those above.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: Duration,
}

impl Timings {
    /// Of every outcome that there was, and of "taken" in any case.
    pub(crate) fn read(&self) -> Vec<TimingReading> {
        let read = |(outcome, timing): (&'static str, &Timing)| TimingReading {
            outcome,
            counts: timing.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: Duration::from_nanos(timing.nanos.load(Ordering::Relaxed)),
        };
        let readings = OUTCOMES.into_iter().zip(&self.0).map(read);
        readings
            .filter(|reading| {
                reading.outcome == OUTCOMES[0] || reading.counts.iter().any(|count| *count > 0)
            })
            .collect()
    }

    fn note(&self, outcome: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(Timing { counts, nanos }) = self.0.get(outcome) {
            // Half a millennium of waiting fits into it.
            nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(0), Ordering::Relaxed);
            counts[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A sender whose requests are timed.
pub(crate) fn timed(sender: Box<dyn Sender>, timings: &Arc<Timings>) -> Box<dyn Sender> {
    Box::new(Timed { sender, timings: Arc::clone(timings) })
}

struct Timed {
    sender: Box<dyn Sender>,
    timings: Arc<Timings>,
}

/// A request that is under way. Whoever gives up waiting drops it.
struct UnderWay {
    began: Instant,
    outcome: usize,
    timings: Arc<Timings>,
}

impl Sender for Timed {
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let timings = Arc::clone(&self.timings);
        let mut under_way = UnderWay { began: Instant::now(), outcome: UNANSWERED, timings };
        let answer = self.sender.send(request);
        Box::pin(async move {
            let answer = answer.await;
            under_way.ended_by(&answer);
            answer
        })
    }
}

impl UnderWay {
    fn ended_by(&mut self, answer: &Answer) {
        self.outcome = match answer {
            Answer::Taken { .. } => 0,
            Answer::Later { .. } => 1,
            Answer::Distrusted { .. } => 2,
            Answer::Refused { .. } => 3,
        };
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.timings.note(self.outcome, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it is asked, or not at all.
    struct Says(Option<Answer>);

    impl Sender for Says {
        fn send(&self, _: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
            let answer = self.0.clone();
            Box::pin(async {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test]
    async fn each_request_is_timed_under_what_became_of_it() {
        let timings = Arc::<Timings>::default();
        let why = String::new;
        let answers = [
            Some(Answer::Taken { rejected: 0, message: why() }),
            Some(Answer::Taken { rejected: 1, message: why() }),
            Some(Answer::Refused { why: why() }),
            None,
        ];
        for answer in answers {
            let sender = timed(Box::new(Says(answer.clone())), &timings);
            let patience = Duration::from_millis(20);
            let heard = tokio::time::timeout(patience, sender.send(Bytes::new())).await.ok();
            assert_eq!(heard, answer);
        }
        let counts = timings.read().into_iter().map(|r| (r.outcome, r.counts.iter().sum::<u64>()));
        assert_eq!(counts.collect::<Vec<_>>(), [("taken", 2), ("refused", 1), ("unanswered", 1)]);
        let unanswered = timings.read().pop().unwrap();
        assert!(unanswered.sum >= Duration::from_millis(20), "{unanswered:?}");
    }

    #[test]
    fn a_time_belongs_to_the_first_bound_that_it_is_not_above() {
        let timings = Timings::default();
        for millis in [0, 1, 2, 10_000, 10_001] {
            timings.note(0, Duration::from_millis(millis));
        }
        let [taken] = &timings.read()[..] else { panic!() };
        assert_eq!(taken.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(taken.sum, Duration::from_millis(20_004));
    }
}

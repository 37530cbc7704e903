//! `memory_limiter`: while the agent's memory is above the limit less the spike, nothing more is taken: senders are told to come
//! back, and the tailer waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::config::{MemoryBound, MemoryLimit};
use crate::sink::{Delivery, Full, Sink};

/// A limit in front of what comes after it.
pub(super) struct Limiter {
    check_interval: Duration,
    /// Above it nothing is taken.
    soft_bytes: u64,
    used_bytes: fn() -> Option<u64>,
    checked: Mutex<Option<(Instant, bool)>>,
    next: Arc<dyn Sink>,
}

impl Limiter {
    pub(super) fn new(limit: MemoryLimit, next: Arc<dyn Sink>) -> Self {
        let soft_bytes = match limit.most {
            MemoryBound::Mib { limit, spike } => {
                limit.saturating_sub(spike).saturating_mul(1024 * 1024)
            }
            MemoryBound::Percent { limit, spike } => {
                // Without a total there is nothing to take a share of, and nothing is refused.
                total_bytes().map_or(u64::MAX, |total| total / 100 * limit.saturating_sub(spike))
            }
        };
        Self {
            check_interval: limit.check_interval,
            soft_bytes,
            used_bytes: resident_bytes,
            checked: Mutex::new(None),
            next,
        }
    }

    /// Whether the limit is passed; looked at once in each interval.
    fn is_over(&self) -> bool {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        match *checked {
            Some((at, is_over)) if at.elapsed() < self.check_interval => is_over,
            _ => {
                // Where it cannot be measured nothing is refused.
                let is_over = (self.used_bytes)().is_some_and(|used| used > self.soft_bytes);
                if is_over && !checked.is_some_and(|(_, was_over)| was_over) {
                    tracing::warn!(
                        limit_bytes = self.soft_bytes,
                        "the agent's memory is above the limit; nothing more is taken until it is below"
                    );
                }
                *checked = Some((Instant::now(), is_over));
                is_over
            }
        }
    }
}

impl Sink for Limiter {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.is_over() {
                sleep(self.check_interval).await;
            }
            self.next.send(delivery).await;
        })
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        if self.is_over() { Err(Full) } else { self.next.try_send(delivery) }
    }
}

/// What the process holds in memory.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// What there is for the process: the machine's memory, or the container's share of it.
fn total_bytes() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = meminfo.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
    let shares = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    shares.into_iter().filter_map(number).chain([kib * 1024]).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ack::Ack;
    use crate::fanout::Fanout;
    use crate::queue::bounded;
    use crate::record::{Batch, SpanBatch};
    use crate::self_metrics::SelfMetrics;

    fn limiter(
        soft_bytes: u64,
        used_bytes: fn() -> Option<u64>,
    ) -> (Limiter, crate::queue::Receiver) {
        let (queue, receiver) = bounded("test", 10_000, &SelfMetrics::new());
        let most = MemoryBound::Mib { limit: 0, spike: 0 };
        let limit = MemoryLimit { check_interval: Duration::from_secs(1), most };
        let next = Arc::new(Fanout { queues: vec![queue] });
        (Limiter { used_bytes, soft_bytes, ..Limiter::new(limit, next) }, receiver)
    }

    fn delivery() -> Delivery {
        Delivery { batch: Batch::Spans(SpanBatch::default()), size_bytes: 10, ack: Ack::nobody() }
    }

    #[tokio::test(start_paused = true)]
    async fn above_the_limit_senders_are_refused_and_the_tailer_waits() {
        use std::sync::atomic::{AtomicU64, Ordering};
        static USED: AtomicU64 = AtomicU64::new(2_000);
        let (limiter, _receiver) = limiter(1_000, || Some(USED.load(Ordering::Relaxed)));
        assert_eq!(limiter.try_send(delivery()), Err(Full));
        let began = Instant::now();
        tokio::join!(limiter.send(delivery()), async {
            sleep(Duration::from_secs(5)).await;
            USED.store(500, Ordering::Relaxed);
        });
        assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
        limiter.try_send(delivery()).unwrap();
    }

    #[test]
    fn the_memory_of_the_process_and_what_there_is_for_it_are_measured() {
        let (used, total) = (resident_bytes().unwrap(), total_bytes().unwrap());
        assert!(1024 * 1024 < used && used < total, "{used} {total}");
    }
}

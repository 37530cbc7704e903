//! Requests at a steady rate, each with a trace id of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

const TICK: Duration = Duration::from_millis(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    counts: Arc<Counts>,
    sender: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    /// Asks `url` so often.
    ///
    /// # Errors
    /// There is no client.
    pub fn start(url: String, per_second: u32) -> Result<Self, String> {
        let client = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT).build();
        let client = client.map_err(|error| error.to_string())?;
        let counts = Arc::new(Counts::default());
        let sender = tokio::spawn(send(client, url, per_second, Arc::clone(&counts)));
        Ok(Self { counts, sender })
    }

    /// How many requests have been answered as they should.
    pub fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// The trace id of the request with this number.
    pub fn trace_id(number: u64) -> String {
        format!("{:032x}", (u128::from(number) + 1) << 64 | 0x5eed)
    }

    /// Sends no more, and waits for the answers; how many were right, and how many not.
    pub async fn stop(self) -> (u64, u64) {
        self.counts.is_over.store(true, Ordering::Relaxed);
        let Self { counts, sender } = self;
        let _ = sender.await;
        (counts.answered.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed))
    }
}

async fn send(client: Client, url: String, per_second: u32, counts: Arc<Counts>) {
    let began = Instant::now();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut sent, mut under_way) = (0, JoinSet::new());
    while !counts.is_over.load(Ordering::Relaxed) {
        tick.tick().await;
        let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
        for number in sent..due {
            let parent = format!("00-{}-{:016x}-01", Load::trace_id(number), number + 1);
            let request = client.get(&url).header("traceparent", parent);
            let counts = Arc::clone(&counts);
            under_way.spawn(async move {
                let answer = request.send().await.and_then(reqwest::Response::error_for_status);
                let count = if answer.is_ok() { &counts.answered } else { &counts.failed };
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        sent = due;
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

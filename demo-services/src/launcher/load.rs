//! Requests at a steady rate.

use std::convert::Infallible;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::report::Report;

/// Requests that wait for their answer at most; what comes due beyond is left out and counted.
const MAX_IN_FLIGHT: usize = 512;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often requests that came due are sent.
const TICK: Duration = Duration::from_millis(10);

/// A load that runs until it is dropped.
pub(super) struct Load {
    per_second: u32,
    url: String,
    http: reqwest::Client,
    sent: u64,
    left_out: u64,
    failed: u64,
    /// The answers since the last progress line.
    latencies: Vec<Duration>,
}

impl Load {
    pub(super) fn new(per_second: u32, url: String, http: reqwest::Client) -> Self {
        Self { per_second, url, http, sent: 0, left_out: 0, failed: 0, latencies: Vec::new() }
    }

    /// Sends, and tells `report` once a second how it goes.
    pub(super) async fn run(mut self, report: &Report) -> Infallible {
        let began = Instant::now();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut progress = interval(Duration::from_secs(1));
        progress.tick().await;
        let mut in_flight = JoinSet::new();
        loop {
            tokio::select! {
                _ = tick.tick() => self.send_due(began.elapsed(), &mut in_flight),
                Some(answer) = in_flight.join_next() => match answer {
                    Ok(Some(latency)) => self.latencies.push(latency),
                    Ok(None) | Err(_) => self.failed += 1,
                },
                _ = progress.tick() => report.progress(&self.progress()),
            }
        }
    }

    fn send_due(&mut self, elapsed: Duration, in_flight: &mut JoinSet<Option<Duration>>) {
        let due = (elapsed.as_secs_f64() * f64::from(self.per_second)) as u64;
        while self.sent + self.left_out < due {
            if in_flight.len() >= MAX_IN_FLIGHT {
                self.left_out = due - self.sent;
                return;
            }
            self.sent += 1;
            let request = self.http.get(&self.url).timeout(REQUEST_TIMEOUT);
            in_flight.spawn(async move {
                let began = Instant::now();
                let answer = request.send().await.and_then(reqwest::Response::error_for_status);
                answer.ok()?.bytes().await.ok()?;
                Some(began.elapsed())
            });
        }
    }

    fn progress(&mut self) -> String {
        self.latencies.sort_unstable();
        let millis = |share: f64| {
            let index = (self.latencies.len().saturating_sub(1) as f64 * share).round() as usize;
            self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let (sent, answered, failed, left_out) =
            (self.sent, self.latencies.len(), self.failed, self.left_out);
        let line = format!(
            "{sent} requests sent, {answered} answered in the last second (p50 {:.1} ms, p99 {:.1} ms), \
             {failed} failed, {left_out} left out",
            millis(0.50),
            millis(0.99)
        );
        self.latencies.clear();
        line
    }
}

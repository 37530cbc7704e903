//! What the exporter says when spans cannot be delivered: once a minute for each cause.

use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;

const QUIET_FOR: Duration = Duration::from_secs(60);

/// Why spans are late or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nobody answers, or only "later".
    Away,
    /// The receiver is there, and one side does not trust the other.
    Distrusted,
    /// Batches are refused for good.
    Refused,
    /// Some spans of a batch are.
    Rejected,
    /// The sender panicked.
    Failed,
    /// Spans ended faster than they could be sent.
    QueueFull,
}

/// The last of them has the largest number.
const CAUSES: usize = Cause::QueueFull as usize + 1;

pub(super) struct Complaints {
    endpoint: String,
    said: [Option<Instant>; CAUSES],
    dropped_before: u64,
}

impl Complaints {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self { endpoint: endpoint.to_string(), said: [None; CAUSES], dropped_before: 0 }
    }

    /// Says it, unless it was said within the last minute.
    pub(super) fn about(&mut self, cause: Cause, why: &str) {
        if !self.may_say(cause) {
            return;
        }
        let endpoint = &self.endpoint;
        match cause {
            Cause::Away => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "spans cannot be delivered; they wait until the queue is full. Is the agent running there?"
            ),
            Cause::Distrusted => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "spans cannot be delivered, since the connection cannot be trusted; they wait until the queue is full"
            ),
            Cause::Refused => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "spans were refused and dropped"
            ),
            Cause::Rejected => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "the receiver rejected some spans of a batch"
            ),
            Cause::Failed => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "a batch of spans was dropped"
            ),
            Cause::QueueFull => tracing::warn!(
                target: "spanline", %endpoint, reason = why,
                "spans were dropped. A larger OTEL_BSP_MAX_QUEUE_SIZE bridges longer outages"
            ),
        }
    }

    /// Says that the queue was full, if it was since the last time.
    pub(super) fn about_full_queue(&mut self, dropped: u64) {
        if dropped > self.dropped_before {
            let why = format!("the queue was full; {dropped} spans dropped so far");
            self.about(Cause::QueueFull, &why);
            self.dropped_before = dropped;
        }
    }

    fn may_say(&mut self, cause: Cause) -> bool {
        let now = Instant::now();
        let said = &mut self.said[cause as usize];
        let is_quiet = said.is_some_and(|at| now.saturating_duration_since(at) < QUIET_FOR);
        if !is_quiet {
            *said = Some(now);
        }
        !is_quiet
    }
}

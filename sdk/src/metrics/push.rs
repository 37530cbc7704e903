//! Pushes: every interval a snapshot goes to a receiver by OTLP, or to stdout, from a thread with a runtime of
//! its own; and once more at the end.
//!
//! A snapshot that does not arrive is not kept: its sums are in the next one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_sdk::Resource;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval_at};

use super::ledger::PushLedger;
use super::otlp::Encoder;
use super::registry::Registry;
use super::text;
use crate::background;
use crate::config::PushConfig;
use crate::otlp::{self, Answer, Attempt, Pauses, Sender, attempt};
use crate::vars::LONGEST;

/// Pushes that follow each other faster would be all that their thread does.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
/// A receiver that stays away is told of again after this.
const QUIET_FOR: Duration = Duration::from_secs(60);

/// Prints a sample.
pub(crate) type Console = Box<dyn Fn(&str) + Send>;

/// A thread that pushes until it is stopped.
#[derive(Debug)]
pub(super) struct Push {
    stop: Option<oneshot::Sender<Instant>>,
    stopped: mpsc::Receiver<()>,
}

impl Push {
    /// Starts to push by OTLP.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn by_otlp(
        config: &PushConfig,
        resource: &Resource,
        registry: Registry,
        ledger: Arc<PushLedger>,
    ) -> io::Result<Self> {
        let way = Way::Otlp(Box::new(Otlp {
            encoder: Encoder::new(resource, config.temporality),
            sender: otlp::timed(otlp::connect(&config.otlp), &ledger.timings),
            try_timeout: config.otlp.timeout,
            timeout: config.timeout,
            endpoint: config.otlp.endpoint.to_string(),
            complained: None,
            ledger,
        }));
        Self::start(config.interval, registry, way)
    }

    /// Starts to print.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn to_console(
        interval: Duration,
        registry: Registry,
        print: Console,
    ) -> io::Result<Self> {
        Self::start(interval, registry, Way::Console(print))
    }

    fn start(interval: Duration, registry: Registry, mut way: Way) -> io::Result<Self> {
        let (stop, mut stopping) = oneshot::channel();
        let (stopped_here, stopped) = mpsc::channel::<()>();
        let work = move || async move {
            let interval = interval.clamp(SHORTEST_INTERVAL, LONGEST);
            let mut ticks = interval_at(tokio::time::Instant::now() + interval, interval);
            // A push that took longer than an interval is followed by one at the next tick, not by all it missed.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let deadline = loop {
                let push = async {
                    ticks.tick().await;
                    way.push(&registry, None).await;
                };
                // A push that is under way gives way to the last one, which tells its sums as well.
                tokio::select! {
                    () = push => {}
                    deadline = &mut stopping => break deadline,
                }
            };
            // Without a word whoever could stop it is gone.
            if let Ok(deadline) = deadline {
                way.push(&registry, Some(deadline)).await;
            }
        };
        let for_want_of_a_runtime = "the push of metrics has no runtime; metrics are not pushed";
        background::start("spanline-push", for_want_of_a_runtime, stopped_here, work)?;
        Ok(Self { stop: Some(stop), stopped })
    }

    /// Asks for the last push.
    pub(super) fn begin_to_stop(&mut self, deadline: Instant) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(deadline);
        }
    }

    /// Waits until it has been made, or the deadline has passed.
    pub(super) fn wait(&self, deadline: Instant) {
        // The other end is dropped with the thread.
        let _ = self.stopped.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// Where a push goes.
enum Way {
    Otlp(Box<Otlp>),
    Console(Console),
}

impl Way {
    async fn push(&mut self, registry: &Registry, deadline: Option<Instant>) {
        match self {
            Self::Otlp(otlp) => otlp.push(registry, deadline).await,
            Self::Console(print) => {
                let text = text::openmetrics(&registry.snapshot());
                // An exposition is text; what describes a family is the same each time, and left out.
                let lines = std::str::from_utf8(&text).unwrap_or_default().lines();
                lines.filter(|line| !line.starts_with('#')).for_each(print);
            }
        }
    }
}

struct Otlp {
    encoder: Encoder,
    sender: Box<dyn Sender>,
    /// For one try.
    try_timeout: Duration,
    /// For a push with all its tries.
    timeout: Duration,
    endpoint: String,
    /// When a failure was last told; `None` while pushes arrive.
    complained: Option<Instant>,
    ledger: Arc<PushLedger>,
}

/// What became of a push.
enum Outcome {
    Delivered { rejected: u64, message: String },
    Refused(String),
    Unreachable(String),
    Failed,
}

impl Otlp {
    async fn push(&mut self, registry: &Registry, deadline: Option<Instant>) {
        let until = Instant::now() + self.timeout;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let (request, told) = self.encoder.encode(&registry.snapshot());
        let outcome = self.deliver(request.encode_to_vec().into(), until).await;
        let ledger = &self.ledger;
        let (count, why) = match outcome {
            Outcome::Delivered { rejected, message } => {
                self.encoder.delivered(told);
                ledger.rejected_points.fetch_add(rejected, Ordering::Relaxed);
                let why =
                    (rejected > 0).then(|| format!("{rejected} data points rejected: {message}"));
                (&ledger.delivered, why)
            }
            Outcome::Refused(why) => (&ledger.refused, Some(why)),
            Outcome::Unreachable(why) => (&ledger.unreachable, Some(why)),
            Outcome::Failed => (&ledger.failed, Some("the sender panicked".to_owned())),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.complain(why);
    }

    /// Tries until the receiver has answered for good, or the time is up.
    async fn deliver(&self, request: Bytes, until: Instant) -> Outcome {
        let mut pauses = Pauses::new();
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(self.try_timeout);
            let (wait, why) = match attempt(&*self.sender, request.clone(), left).await {
                Attempt::Answered(Answer::Taken { rejected, message }) => {
                    return Outcome::Delivered { rejected, message };
                }
                Attempt::Answered(Answer::Refused { why }) => return Outcome::Refused(why),
                Attempt::Answered(Answer::Later { wait, why }) => (wait, why),
                Attempt::Answered(Answer::Distrusted { why }) => (None, why),
                Attempt::Unanswered => (None, format!("no answer within {left:?}")),
                Attempt::Panicked => return Outcome::Failed,
            };
            let pause = pauses.next();
            let wait = wait.unwrap_or(pause).min(self.timeout);
            if Instant::now() + wait >= until {
                return Outcome::Unreachable(why);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Says once a minute why pushes fail, and once that they arrive again.
    fn complain(&mut self, why: Option<String>) {
        let endpoint = &self.endpoint;
        let Some(reason) = why else {
            if self.complained.take().is_some() {
                tracing::info!(target: "spanline", %endpoint, "metrics are delivered again");
            }
            return;
        };
        if self.complained.is_some_and(|at| at.elapsed() < QUIET_FOR) {
            return;
        }
        self.complained = Some(Instant::now());
        tracing::warn!(
            target: "spanline", %endpoint, reason,
            "metrics cannot be delivered; their sums go with a later push. Is their receiver running there?"
        );
    }
}

//! For a service's own tests: its lines and spans, kept in memory to be looked at. Feature `testing`.
//!
//! ```
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt as _;
//!
//! async fn cart() -> &'static str {
//!     tracing::info!(sku = 12, "added item");
//!     "ok"
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // #[tokio::test]
//! let telemetry = spanline::testing::start();
//! let app = Router::new().route("/cart/{id}", get(cart)).layer(spanline::http::server());
//! app.oneshot(Request::get("/cart/7").body(Body::empty()).unwrap()).await.unwrap();
//!
//! let line = telemetry.line("added item");
//! assert_eq!(line["sku"], 12);
//! let span = telemetry.span("GET /cart/{id}");
//! assert_eq!(span["http.response.status_code"], 200);
//! assert!(line.is_in(&span));
//! # });
//! ```
//!
//! # Tests do not see each other
//!
//! What [`start`] gives is in force on its own thread and until it is dropped: tests that run side by side
//! have their own lines and spans each. The tasks of `#[tokio::test]` run on the test's thread. For other
//! threads, and for `flavor = "multi_thread"`, there is [`TestTelemetry::dispatch`].
//!
//! Nothing comes from the environment, so the tests of somebody who has set `RUST_LOG` end alike; what a test
//! wants to be different it says on a [builder](crate::builder):
//!
//! ```
//! let builder = spanline::builder("checkout").log_filter("debug");
//! let telemetry = spanline::testing::start_with(builder);
//! tracing::debug!("seen");
//! telemetry.line("seen");
//! ```
//!
//! # What differs from a running service
//!
//! Nothing is written and nothing is sent, whatever output and endpoint the builder names. Lines are of the
//! format `json`, which is what [`Line`] is read from. A panic is told by the test, and makes no line.

mod line;
mod report;
mod span;
mod tracer;

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use tracing::Dispatch;
use tracing::dispatcher::DefaultGuard;

use crate::Builder;
use crate::init::{self, Parts};
use crate::log::Lines;
use crate::metrics::{Metrics, Registry};
use crate::trace::Spans;
use crate::vars::Vars;

pub use line::Line;
pub use serde_json::Value;
pub use span::{Span, SpanEvent};

/// How long [`TestTelemetry::ended`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the lines and spans of this thread from now on, with the settings that a service has by default:
/// everything of level INFO and above.
///
/// ```
/// let telemetry = spanline::testing::start();
/// tracing::warn!(shelf = "B", "nearly empty");
/// assert_eq!(telemetry.line("nearly empty")["shelf"], "B");
/// ```
pub fn start() -> TestTelemetry {
    start_with(crate::builder("test"))
}

/// The same with settings of one's own; see [the module](self) for those that do not count.
///
/// ```
/// let builder = spanline::builder("checkout").sampler(spanline::Sampler::AlwaysOff);
/// let telemetry = spanline::testing::start_with(builder);
/// tracing::info_span!("order").in_scope(|| tracing::info!("taken"));
/// // Lines have ids also where spans are not sampled.
/// assert!(telemetry.line("taken").trace_id.is_some());
/// assert!(telemetry.spans().is_empty());
/// ```
///
/// # Panics
/// A setting of the builder cannot be used: a test is told of it at once.
#[track_caller]
pub fn start_with(builder: Builder) -> TestTelemetry {
    let Parts { dispatch, lines, spans, metrics } = match init::parts(&builder, &NoVars) {
        Ok(parts) => parts,
        Err(faults) => panic!("{}", crate::InitError::Settings(faults)),
    };
    tracer::install();
    init::install_logger();
    TestTelemetry {
        _guard: tracing::dispatcher::set_default(&dispatch),
        dispatch,
        lines,
        spans,
        metrics,
        kept: Mutex::default(),
    }
}

/// Telemetry that is kept in memory; made by [`start`], in force until it is dropped.
#[must_use = "telemetry ends when this is dropped: keep it until the end of the test"]
pub struct TestTelemetry {
    _guard: DefaultGuard,
    dispatch: Dispatch,
    lines: Lines,
    spans: Spans,
    metrics: Metrics,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: Vec<Line>,
    spans: Vec<Span>,
}

/// An environment with nothing in it.
struct NoVars;

impl Vars for NoVars {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

impl TestTelemetry {
    /// Every line so far, in the order in which they were printed.
    pub fn lines(&self) -> Vec<Line> {
        self.kept().lines.clone()
    }

    /// Every span that has ended so far, in the order in which they did.
    pub fn spans(&self) -> Vec<Span> {
        self.kept().spans.clone()
    }

    /// The one line with this message.
    ///
    /// # Panics
    /// There is none, or more than one; the panic lists the lines that there are.
    #[track_caller]
    pub fn line(&self, message: &str) -> Line {
        let kept = self.kept();
        let found: Vec<_> = kept.lines.iter().filter(|line| line.message == message).collect();
        match found[..] {
            [line] => line.clone(),
            _ => panic!("{}", report::not_one("line says", message, found.len(), &kept.lines)),
        }
    }

    /// The one span with this name.
    ///
    /// # Panics
    /// None has ended, or more than one; the panic lists the spans that there are.
    #[track_caller]
    pub fn span(&self, name: &str) -> Span {
        let kept = self.kept();
        let found: Vec<_> = kept.spans.iter().filter(|span| span.name == name).collect();
        match found[..] {
            [span] => span.clone(),
            _ => panic!("{}", report::not_one("span is called", name, found.len(), &kept.spans)),
        }
    }

    /// The first line of which `is_wanted` is true.
    ///
    /// ```
    /// let telemetry = spanline::testing::start();
    /// tracing::error!(sku = 12, "sold out");
    /// telemetry.assert_line(|line| line.level == tracing::Level::ERROR && line["sku"] == 12);
    /// ```
    ///
    /// # Panics
    /// There is none; the panic lists the lines that there are.
    #[track_caller]
    pub fn assert_line(&self, is_wanted: impl Fn(&Line) -> bool) -> Line {
        let kept = self.kept();
        match kept.lines.iter().find(|line| is_wanted(line)) {
            Some(line) => line.clone(),
            None => panic!("{}", report::list("no line is as wanted", "line", &kept.lines)),
        }
    }

    /// The first span of which `is_wanted` is true.
    ///
    /// # Panics
    /// None has ended; the panic lists the spans that there are.
    #[track_caller]
    pub fn assert_span(&self, is_wanted: impl Fn(&Span) -> bool) -> Span {
        let kept = self.kept();
        match kept.spans.iter().find(|span| is_wanted(span)) {
            Some(span) => span.clone(),
            None => panic!("{}", report::list("no span is as wanted", "span", &kept.spans)),
        }
    }

    /// Sees to it that `is_unwanted` is true of no line.
    ///
    /// ```
    /// let telemetry = spanline::testing::start();
    /// tracing::info!(user = "ada", "signed in");
    /// telemetry.assert_no_line(|line| line.text.contains("hunter2"));
    /// ```
    ///
    /// # Panics
    /// There is one; the panic shows it.
    #[track_caller]
    pub fn assert_no_line(&self, is_unwanted: impl Fn(&Line) -> bool) {
        if let Some(line) = self.kept().lines.iter().find(|line| is_unwanted(line)) {
            panic!("a line is as it must not be:\n  {line}");
        }
    }

    /// Sees to it that `is_unwanted` is true of no span that has ended.
    ///
    /// # Panics
    /// There is one; the panic shows it.
    #[track_caller]
    pub fn assert_no_span(&self, is_unwanted: impl Fn(&Span) -> bool) {
        if let Some(span) = self.kept().spans.iter().find(|span| is_unwanted(span)) {
            panic!("a span is as it must not be:\n  {span}");
        }
    }

    /// The lines that were printed in this span, not counting those of the spans in it.
    pub fn lines_in(&self, span: &Span) -> Vec<Line> {
        self.kept().lines.iter().filter(|line| line.is_in(span)).cloned().collect()
    }

    /// The lines of this trace.
    pub fn lines_of_trace(&self, trace_id: TraceId) -> Vec<Line> {
        let is_of = |line: &&Line| line.trace_id == Some(trace_id);
        self.kept().lines.iter().filter(is_of).cloned().collect()
    }

    /// The spans of this trace.
    pub fn spans_of_trace(&self, trace_id: TraceId) -> Vec<Span> {
        self.kept().spans.iter().filter(|span| span.trace_id == trace_id).cloned().collect()
    }

    /// The spans right below this one.
    pub fn children_of(&self, parent: &Span) -> Vec<Span> {
        self.kept().spans.iter().filter(|span| span.is_child_of(parent)).cloned().collect()
    }

    /// Waits for the first span with this name to end. A server's span may do so after its client has the
    /// answer, and then a moment passes between them.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let telemetry = spanline::testing::start();
    /// tokio::spawn(async {
    ///     tokio::task::yield_now().await;
    ///     tracing::info_span!("settle").in_scope(|| {});
    /// });
    /// assert!(telemetry.ended("settle").await.is_root());
    /// # });
    /// ```
    ///
    /// # Panics
    /// None has ended within ten seconds; the panic lists the spans that have.
    pub async fn ended(&self, name: &str) -> Span {
        let deadline = Instant::now() + PATIENCE;
        poll_fn(|context| {
            let kept = self.kept();
            if let Some(span) = kept.spans.iter().find(|span| span.name == name) {
                return Poll::Ready(span.clone());
            }
            if Instant::now() >= deadline {
                let what = format!("no span called {name:?} has ended in {PATIENCE:?}");
                panic!("{}", report::list(&what, "span", &kept.spans));
            }
            // Everybody else has a turn first: other tasks of this thread, and other threads.
            context.waker().wake_by_ref();
            std::thread::yield_now();
            Poll::Pending
        })
        .await
    }

    /// Forgets every line and span so far, so that a test can look at its next step alone.
    pub fn clear(&self) {
        *self.kept() = Kept::default();
    }

    /// For another thread, or a task that may run on one: what happens under it is kept here as well.
    ///
    /// ```
    /// use tracing::instrument::WithSubscriber as _;
    ///
    /// # tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(async {
    /// // #[tokio::test(flavor = "multi_thread")]
    /// let telemetry = spanline::testing::start();
    /// let task = async { tracing::info!("from a worker") };
    /// tokio::spawn(task.with_subscriber(telemetry.dispatch())).await.unwrap();
    ///
    /// let dispatch = telemetry.dispatch();
    /// let thread = std::thread::spawn(move || {
    ///     tracing::dispatcher::with_default(&dispatch, || tracing::info!("from a thread"));
    /// });
    /// thread.join().unwrap();
    /// assert_eq!(telemetry.lines().len(), 2);
    /// # });
    /// ```
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// The test's own registry: the metrics of its requests, of the SDK, and those that it registers.
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use tower::ServiceExt as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let telemetry = spanline::testing::start();
    /// let app = Router::new().route("/cart/{id}", get(|| async {})).layer(spanline::http::server());
    /// app.oneshot(Request::get("/cart/7").body(Body::empty()).unwrap()).await.unwrap();
    ///
    /// let text = telemetry.registry().to_openmetrics();
    /// let mut lines = text.lines();
    /// let count = "http_server_request_duration_seconds_count{";
    /// let line = lines.find(|line| line.starts_with(count)).expect("the request is counted");
    /// assert!(line.contains(r#"http_route="/cart/{id}""#) && line.ends_with(" 1"), "{line}");
    /// # });
    /// ```
    pub fn registry(&self) -> &Registry {
        self.metrics.registry()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A failed assertion of another thread leaves nothing half done.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.extend(line::read(&self.lines.take()));
        kept.spans.extend(self.spans.take().into_iter().map(Span::of));
        let lost = (self.lines.ledger().dropped.total(), self.spans.ledger().dropped.total());
        assert!(
            lost == (0, 0),
            "the test kit has no room for so much: {lost:?} lines and spans lost"
        );
        kept
    }
}

impl std::fmt::Debug for TestTelemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kept = self.kept();
        f.debug_struct("TestTelemetry")
            .field("lines", &kept.lines)
            .field("spans", &kept.spans)
            .finish_non_exhaustive()
    }
}

//! The `prometheus` exporter: what came by OTLP, for a scraper.
//!
//! It keeps where every series stands and serves that at `/metrics`, as OpenMetrics 1.0 with examples or as text 0.0.4.
//!
//! - **Nothing is reset by waiting.** The series of a sender that has been silent for `metric_expiration` are not shown,
//!   so that Prometheus sees them end, but they are kept: a sender that comes back goes on where it was.
//! - **Memory is bounded**: when there is no room for a new series, those of silent senders go, the longest
//!   silent first; if there are none, the new one is refused and counted.
//! - **A sender that starts anew** begins again at what it says; what its predecessor sent late is refused.
//! - **Deltas are added up**, each once: a point that is no newer than the one before is refused.

mod series;
mod text;

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use self::series::AllSeries;
use super::{Answer, Exporter, Exporting};
use crate::accept::{Format, accepts_gzip};
use crate::record::Batch;
use crate::samples::{self, Naming};
use crate::self_metrics::{ExporterReason, SelfMetrics};

/// Bytes that all series may take together, as [`AllSeries`] reckons them.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How the exporter serves what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How names and labels are made.
    pub naming: Naming,
    /// How long a sender may be silent until its series are no longer shown.
    pub metric_expiration: Duration,
    /// Whether samples carry the time that their sender gave them.
    pub send_timestamps: bool,
    /// Whether a scraper that asks for OpenMetrics gets it.
    pub open_metrics: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            metric_expiration: Duration::from_secs(5 * 60),
            send_timestamps: false,
            open_metrics: true,
        }
    }
}

/// The exporter; its clones share what is kept.
#[derive(Debug, Clone)]
pub struct Prometheus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    settings: Settings,
    series: Mutex<AllSeries>,
    metrics: Arc<SelfMetrics>,
}

impl Prometheus {
    /// An exporter that is called `name` where the agent counts.
    pub fn new(name: &str, settings: Settings, metrics: Arc<SelfMetrics>) -> Self {
        let series = Mutex::new(AllSeries::new(MAX_BYTES, settings.metric_expiration));
        let name = name.to_owned();
        Self { shared: Arc::new(Shared { name, settings, series, metrics }) }
    }

    /// Answers scrapers at `/metrics`.
    pub fn router(&self) -> Router {
        Router::new().route("/metrics", get(scrape)).with_state(self.clone())
    }

    fn take(&self, batch: &Batch) {
        let Batch::Metrics(batch) = batch else { return };
        let Shared { name, settings, series, metrics } = &*self.shared;
        let now = Instant::now();
        let mut all = series.lock().unwrap_or_else(PoisonError::into_inner);
        samples::read(batch, &settings.naming, |sender, family, point| {
            if let Err(refused) = point.and_then(|point| all.add(sender, family, point, now)) {
                let label = ExporterReason { exporter: name.clone(), reason: refused.reason() };
                metrics.points.refused.get_or_create(&label).inc();
            }
        });
        metrics.points.series.set(i64::try_from(all.count()).unwrap_or(i64::MAX));
        metrics.points.series_bytes.set(i64::try_from(all.size_bytes()).unwrap_or(i64::MAX));
    }

    fn text(&self, format: Format) -> String {
        let settings = &self.shared.settings;
        let all = self.shared.series.lock().unwrap_or_else(PoisonError::into_inner);
        text::write(&all, format, settings.send_timestamps, Instant::now())
    }
}

impl Exporter for Prometheus {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async move {
            self.take(&batch);
            Ok(Answer::default())
        })
    }
}

async fn scrape(State(exporter): State<Prometheus>, headers: HeaderMap) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let open_metrics = exporter.shared.settings.open_metrics;
    let format = Format::from_accept(header(ACCEPT), open_metrics);
    let gzip = accepts_gzip(header(ACCEPT_ENCODING));
    // Tens of megabytes at most, but not on a thread that serves others.
    let body = tokio::task::spawn_blocking(move || {
        let text = exporter.text(format).into_bytes();
        if gzip { zipped(&text) } else { Ok(text) }
    });
    let Ok(Ok(body)) = body.await else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "could not write the metrics\n")
            .into_response();
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, format.content_type());
    headers.insert(VARY, http::HeaderValue::from_static("accept, accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
    }
    response
}

fn zipped(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text)?;
    gzip.finish()
}

#[cfg(test)]
mod tests;

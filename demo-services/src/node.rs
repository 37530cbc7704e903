//! `api-node`: greets, and hands on what `api-python` says.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{BoxError, Router};
use clap::Args;
use reqwest::{Client, Url};
use spanline::LogFormat;
use spanline::http::SendTraced as _;
use tracing::{error, info};

use crate::service;

/// How long a client of `api-node` waits at most for an answer that only `api-python` can give.
const PYTHON_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of an answer is taken: far more than `api-python` says, far less than would hurt.
const MAX_TEXT_BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
struct Settings {
    /// Where api-python answers
    #[arg(long, env = "PYTHON_APP_URL", default_value = "http://127.0.0.1:8000/")]
    python_app_url: Url,
}

/// Runs the service until it is told to stop; with `health` as argument, asks the running one.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    service::run("api-node", 3000, args, |listener, settings: Settings| async move {
        let telemetry = spanline::builder("api-node")
            .log_format(LogFormat::Winston)
            .metric_label("service", "api-node")
            .init();
        info!(address = %listener.local_addr()?, "listening");
        let app = app(settings.python_app_url).map_err(io::Error::other)?;
        // Beside the port for metrics, where a scraper that knows only the service's own port looks for them; a scrape is
        // no request of a user's, so it stands outside of the layer and leaves no trace.
        let app = app.nest("/prometheus", telemetry.metrics_router());
        spanline::serve(listener, app).await
    })
}

/// The service's routes; `python` is the address of the service behind it.
///
/// # Errors
///
/// When the machine does not let an HTTP client be made.
pub fn app(python: Url) -> reqwest::Result<Router> {
    // Its neighbour is asked directly, whatever proxy leads out of the cluster.
    let client = Client::builder().no_proxy().build()?;
    Ok(Router::new()
        .route("/", get(|| async { "Hello World!" }))
        .route("/something", get(something))
        .route("/other", get(something))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(Python { client, url: python })
        .layer(spanline::http::server().exclude("/healthz")))
}

#[derive(Clone)]
struct Python {
    client: Client,
    url: Url,
}

async fn something(State(python): State<Python>) -> Result<String, (StatusCode, &'static str)> {
    let text = python.ask().await.map_err(|cause| {
        error!(error = &*cause, "api-python gave no answer");
        (StatusCode::BAD_GATEWAY, "api-python gave no answer\n")
    })?;
    info!(bytes = text.len(), "api-python answered");
    Ok(text)
}

impl Python {
    async fn ask(&self) -> Result<String, BoxError> {
        let request = self.client.get(self.url.clone()).timeout(PYTHON_TIMEOUT);
        let answer = request.send_traced().await?.error_for_status()?;
        let text = to_bytes(Body::new(reqwest::Body::from(answer)), MAX_TEXT_BYTES).await?;
        Ok(String::from_utf8(text.into())?)
    }
}

#[cfg(test)]
mod tests;

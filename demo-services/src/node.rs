//! `api-node`: greets, and hands on what `api-python` says.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use clap::Args;
use reqwest::{Client, Url};
use spanline::LogFormat;
use spanline::http::SendTraced as _;
use tracing::{error, info};

use crate::service;

/// How long a client of `api-node` waits at most for an answer that only `api-python` can give.
const PYTHON_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
struct Settings {
    /// Where api-python answers
    #[arg(long, env = "PYTHON_APP_URL", default_value = "http://127.0.0.1:8000/")]
    python_app_url: Url,
}

/// Runs the service until it is told to stop; with `health` as argument, asks the running one.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    service::run("api-node", 3000, args, |listener, settings: Settings| async move {
        let _telemetry = spanline::builder("api-node").log_format(LogFormat::Winston).init();
        info!(address = %listener.local_addr()?, "listening");
        spanline::serve(listener, app(settings.python_app_url)).await
    })
}

/// The service's routes; `python` is the address of the service behind it.
pub fn app(python: Url) -> Router {
    Router::new()
        .route("/", get(|| async { "Hello World!" }))
        .route("/something", get(something))
        .route("/other", get(something))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(Python { client: Client::new(), url: python })
        .layer(spanline::http::server().exclude("/healthz"))
}

#[derive(Clone)]
struct Python {
    client: Client,
    url: Url,
}

async fn something(State(python): State<Python>) -> Result<String, (StatusCode, &'static str)> {
    let text = python.ask().await.map_err(|cause| {
        error!(error = &cause as &dyn Error, "api-python gave no answer");
        (StatusCode::BAD_GATEWAY, "api-python gave no answer\n")
    })?;
    info!(bytes = text.len(), "api-python answered");
    Ok(text)
}

impl Python {
    async fn ask(&self) -> reqwest::Result<String> {
        let request = self.client.get(self.url.clone()).timeout(PYTHON_TIMEOUT);
        request.send_traced().await?.error_for_status()?.text().await
    }
}

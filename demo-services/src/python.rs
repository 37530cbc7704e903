//! `api-python`: the service behind `api-node`.

use std::ffi::OsString;
use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use spanline::{LogFormat, LogOutput, OtlpProtocol};
use tracing::info;

use crate::service::{self, NoSettings};

/// Runs the service until it is told to stop; with `health` as argument, asks the running one.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    service::run("api-python", 8000, args, |listener, NoSettings {}| async move {
        let _telemetry = spanline::builder("api-python")
            .log_format(LogFormat::Python)
            .log_output(LogOutput::Stderr)
            .otlp_protocol(OtlpProtocol::Grpc)
            .init();
        info!(address = %listener.local_addr()?, "listening");
        spanline::serve(listener, app()).await
    })
}

/// The service's routes.
pub fn app() -> Router {
    Router::new()
        .route("/", get(hello))
        .route("/healthz", get(|| async { "ok" }))
        .layer(spanline::http::server().exclude("/healthz"))
}

async fn hello() -> &'static str {
    info!("hello world!");
    "Hello From Python App!"
}

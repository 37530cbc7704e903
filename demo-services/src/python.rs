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
        let mut telemetry = spanline::builder("api-python")
            .log_format(LogFormat::Python)
            .otlp_protocol(OtlpProtocol::Grpc)
            .metric_label("service", "api-python");
        // Python's logging goes to stderr, unless who runs the service has a better place, such as a file on a shared volume.
        if std::env::var_os("SPANLINE_LOG_OUTPUT").is_none() {
            telemetry = telemetry.log_output(LogOutput::Stderr);
        }
        let _telemetry = telemetry.init();
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

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn it_says_hello_and_that_it_is_well() {
        for (path, text) in [("/", "Hello From Python App!"), ("/healthz", "ok")] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = app().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(to_bytes(answer.into_body(), 1024).await.unwrap(), text);
        }
    }
}

//! Paths and methods that somebody makes up, each once: the number of series is that of the routes.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::get;
use spanline::LogOutput;
use tower_service::Service as _;

use crate::Row;
use crate::child::Role;

pub(crate) fn prove(paths: u64, methods: u64) -> io::Result<Vec<Row>> {
    let (paths_text, methods_text) = (paths.to_string(), methods.to_string());
    // Nobody listens there, and nobody has to.
    let vars = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")];
    let figures = Role::start(&["requests", &paths_text, &methods_text], &vars)?.figures()?;
    let figure = |name: &str| figures.get(name).copied().unwrap_or(u64::MAX);
    let (few, all) = (figure("series_after_few"), figure("series_after_all"));
    Ok(vec![Row {
        what: format!(
            "{paths} made-up paths, {methods} made-up methods: series of the server's metrics"
        ),
        measured: format!(
            "{all}, as after two of each kind ({few}); {} overflows",
            figure("overflows")
        ),
        goal: "as many as the routes, statuses and known methods ask for".to_owned(),
        is_met: few == all && all > 0 && figure("overflows") == 0,
    }])
}

/// The role: serves requests without a socket, and tells how many series there are.
pub(crate) fn serve(paths: &str, methods: &str) -> io::Result<()> {
    let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
    let (paths, methods) = (number(paths)?, number(methods)?);
    let telemetry = spanline::builder("proofs").log_output(LogOutput::Discard).init();
    let mut app = Router::new()
        .route("/items/{id}", get(|| async { "an item" }))
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(spanline::http::server());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut request = |method: Method, path: String| -> io::Result<()> {
        let request = Request::builder().method(method).uri(path).body(Body::empty());
        let answer = app.call(request.map_err(io::Error::other)?);
        runtime.block_on(async { drop(answer.await) });
        Ok(())
    };
    let made_up = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut ask = |paths: std::ops::Range<u64>, methods: std::ops::Range<u64>| -> io::Result<()> {
        for number in paths {
            request(Method::GET, format!("/items/{:x}", made_up(number)))?;
            request(Method::GET, format!("/{:x}", made_up(number)))?;
        }
        for number in methods {
            let method = format!("M{:X}", made_up(number));
            let method = Method::from_bytes(method.as_bytes()).map_err(io::Error::other)?;
            request(method, "/items/1".to_owned())?;
        }
        Ok(())
    };
    ask(0..2, 0..2)?;
    eprintln!("series_after_few {}", series(&telemetry.registry().to_openmetrics()));
    ask(2..paths / 2, 2..methods)?;
    let text = telemetry.registry().to_openmetrics();
    eprintln!("series_after_all {}", series(&text));
    let overflows =
        text.lines().find_map(|line| line.strip_prefix("spanline_metric_overflows_total "));
    let overflows = overflows.and_then(|count| count.parse::<f64>().ok()).unwrap_or(f64::NAN);
    eprintln!("overflows {overflows}");
    Ok(())
}

/// Every line of the server's families is a sample of some series.
fn series(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("http_server_")).count()
}

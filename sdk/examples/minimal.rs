//! The smallest service, as the README has it: four lines more than one without telemetry.
//!
//! ```sh
//! cargo run -p spanline --example minimal
//! curl http://127.0.0.1:8080/
//! ```

use axum::{Router, routing::get};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let _telemetry = spanline::init("checkout");

    let app = Router::new().route("/", get(hello)).layer(spanline::http::server());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    spanline::serve(listener, app).await
}

async fn hello() -> &'static str {
    tracing::info!("hello");
    "Hello World!"
}

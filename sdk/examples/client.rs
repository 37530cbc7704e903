//! A service that calls another, both in this process: one trace, whichever of them prints.
//!
//! ```sh
//! cargo run -p spanline --example client
//! ```

use axum::body::Body;
use axum::{Router, routing::get};
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let _telemetry = spanline::init("checkout");

    let stock = TcpListener::bind("127.0.0.1:0").await?;
    let stock_url = format!("http://{}/stock/12", stock.local_addr()?);
    let app = Router::new().route("/stock/{sku}", get(look_up)).layer(spanline::http::server());
    tokio::spawn(spanline::serve(stock, app));

    println!("in stock: {}", order(&stock_url).await?);
    Ok(())
}

async fn look_up() -> &'static str {
    tracing::info!("looking it up");
    "3"
}

/// A span of our own around the call; the request's is below it, and the other service's below that.
#[tracing::instrument(skip_all, err)]
async fn order(url: &str) -> Result<String, BoxError> {
    tracing::info!(url, "asking whether it is in stock");
    // Each request that goes through the layer is a CLIENT span, and carries a `traceparent`.
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = ServiceBuilder::new().layer(spanline::http::client()).service(client);
    let response = client.oneshot(Request::get(url).body(Body::empty())?).await?;
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}

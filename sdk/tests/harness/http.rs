//! A service to ask and to serve, for tests of the HTTP layers, and a client of hyper's.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// A caller's span, sampled.
pub(crate) const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn request(uri: &str) -> http::request::Builder {
    Request::builder().uri(uri)
}

/// Answers, and reads the answer to its end.
pub(crate) async fn ask(app: Router, request: http::request::Builder) -> StatusCode {
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

pub(crate) fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(|| async { "a user" }))
        .route("/fails", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/refuses", get(|| async { StatusCode::FORBIDDEN }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/hangs", get(std::future::pending::<()>))
        .layer(spanline::http::server().exclude("/healthz"))
}

/// Serves on a free port of the loopback interface, on this test's thread.
pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let builder = hyper::server::conn::http1::Builder::new();
        while let Ok((socket, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let socket = hyper_util::rt::TokioIo::new(socket);
            tokio::spawn(builder.serve_connection(socket, service));
        }
    });
    url
}

pub(crate) type HyperClient = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    http_body_util::Empty<Bytes>,
>;

pub(crate) fn hyper_client() -> HyperClient {
    hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http()
}

pub(crate) fn empty(url: &str) -> Request<http_body_util::Empty<Bytes>> {
    Request::builder().uri(url).body(http_body_util::Empty::new()).unwrap()
}

//! The routes, with a stand-in for `api-python` on a real socket.

use axum::http::Request;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower::ServiceExt as _;

use super::*;

#[tokio::test]
async fn it_greets_and_is_well_without_asking_anyone() {
    let nobody = nobody().await;
    assert_eq!(ask(&nobody, "/").await, (StatusCode::OK, "Hello World!".to_owned()));
    assert_eq!(ask(&nobody, "/healthz").await, (StatusCode::OK, "ok".to_owned()));
}

#[tokio::test]
async fn both_routes_hand_on_what_api_python_says() {
    let python = python(Router::new().route("/", get(|| async { "a text" }))).await;
    for path in ["/something", "/other"] {
        assert_eq!(ask(&python, path).await, (StatusCode::OK, "a text".to_owned()));
    }
}

#[tokio::test]
async fn an_api_python_that_is_down_is_a_502() {
    assert_eq!(ask(&nobody().await, "/something").await, bad_gateway());
}

#[tokio::test]
async fn an_api_python_that_fails_is_a_502() {
    let fails = get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "its own trouble") });
    let python = python(Router::new().route("/", fails)).await;
    assert_eq!(ask(&python, "/something").await, bad_gateway());
}

#[tokio::test(start_paused = true)]
async fn an_api_python_that_hangs_is_a_502_in_the_time_that_a_caller_has() {
    let hangs = get(std::future::pending::<&'static str>);
    let python = python(Router::new().route("/", hangs)).await;
    let answer = timeout(PYTHON_TIMEOUT + Duration::from_millis(500), ask(&python, "/something"));
    assert_eq!(answer.await.unwrap(), bad_gateway());
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_a_502_and_the_longest_is_not() {
    for (bytes, status) in
        [(MAX_TEXT_BYTES, StatusCode::OK), (MAX_TEXT_BYTES + 1, StatusCode::BAD_GATEWAY)]
    {
        let text = get(move || async move { "x".repeat(bytes) });
        let python = python(Router::new().route("/", text)).await;
        assert_eq!(ask(&python, "/something").await.0, status, "{bytes}");
    }
}

async fn ask(python: &Url, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = app(python.clone()).unwrap().oneshot(request).await.unwrap();
    let status = answer.status();
    let text = to_bytes(answer.into_body(), 2 * MAX_TEXT_BYTES).await.unwrap();
    (status, String::from_utf8(text.into()).unwrap())
}

fn bad_gateway() -> (StatusCode, String) {
    (StatusCode::BAD_GATEWAY, "api-python gave no answer\n".to_owned())
}

async fn python(app: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url_of(&listener);
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

/// An address where a server was and none is.
async fn nobody() -> Url {
    url_of(&TcpListener::bind("127.0.0.1:0").await.unwrap())
}

fn url_of(listener: &TcpListener) -> Url {
    format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap()
}

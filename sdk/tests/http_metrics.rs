//! What the HTTP layers tell the metrics: what the conventions want of each request, under labels that strangers
//! cannot multiply, and that nothing is under way any more once it is over, however it ended.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as its tests do")]

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use spanline::testing::{self, TestTelemetry};
use tower::{ServiceBuilder, ServiceExt as _};

const SERVER_COUNT: &str = "http_server_request_duration_seconds_count";
const CLIENT_COUNT: &str = "http_client_request_duration_seconds_count";

/// The metrics of one moment.
struct Scraped(String);

impl Scraped {
    fn of(telemetry: &TestTelemetry) -> Self {
        Self(telemetry.registry().to_openmetrics())
    }

    /// The samples of this name with these labels, or parts of labels.
    fn samples(&self, name: &str, labels: &[&str]) -> Vec<&str> {
        let start = format!("{name}{{");
        let is_wanted = |line: &&str| {
            line.starts_with(&start) && labels.iter().all(|label| line.contains(label))
        };
        self.0.lines().filter(is_wanted).collect()
    }

    /// The value of the one that there is.
    fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let [sample] = self.samples(name, labels)[..] else {
            panic!("not one {name} {labels:?} in\n{}", self.0)
        };
        let value = sample.split_once("} ").unwrap().1;
        value.split(' ').next().unwrap().parse().unwrap()
    }

    /// Sees to it that nothing is under way on this side, and something was.
    fn nothing_is_active(&self, side: &str) {
        let active = self.samples(&format!("http_{side}_active_requests"), &[]);
        assert!(!active.is_empty(), "{}", self.0);
        assert!(active.iter().all(|sample| sample.ends_with(" 0")), "{active:#?}");
    }

    fn series(&self) -> usize {
        self.0.lines().filter(|line| line.starts_with("http_")).count()
    }
}

async fn ask(app: &Router, method: &str, path: &str) -> StatusCode {
    let request = Request::builder().method(method).uri(path).header("content-length", "7");
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status();
    response.into_body().collect().await.unwrap();
    status
}

fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(async || "a user"))
        .route("/fails", get(async || StatusCode::SERVICE_UNAVAILABLE))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/panics", get(async || -> () { panic!("on purpose") }))
        .route("/healthz", get(async || "ok"))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(spanline::http::server().exclude("/healthz"))
}

#[tokio::test]
async fn requests_are_counted_by_route_status_and_method() {
    let telemetry = testing::start();
    let app = app();
    for path in ["/users/1", "/users/2", "/fails", "/healthz", "/1", "/2", "/3"] {
        ask(&app, "GET", path).await;
    }
    ask(&app, "BREW", "/coffee").await;
    let scraped = Scraped::of(&telemetry);
    let labels = "{http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/users/{id}\",\
         http_response_status_code=\"200\"}";
    assert_eq!(scraped.value(SERVER_COUNT, &[labels]), 2.0);
    assert_eq!(scraped.value(SERVER_COUNT, &["/fails", "503", "error_type=\"503\""]), 1.0);
    assert_eq!(scraped.value(SERVER_COUNT, &["GET", "404"]), 3.0, "no route: one series");
    assert_eq!(scraped.value(SERVER_COUNT, &["_OTHER", "404"]), 1.0);
    assert!(!scraped.0.contains("healthz") && !scraped.0.contains("BREW"), "{}", scraped.0);
    let size = |what: &str| {
        scraped.value(&format!("http_server_{what}_body_size_bytes_sum"), &["/users/{id}"])
    };
    assert_eq!(size("response"), 12.0, "two of six bytes");
    assert_eq!(size("request"), 14.0, "two of seven");
    scraped.nothing_is_active("server");
}

/// The conventions name the bounds of a duration.
#[tokio::test]
async fn the_buckets_are_those_of_the_conventions() {
    let telemetry = testing::start();
    ask(&app(), "GET", "/users/1").await;
    let scraped = Scraped::of(&telemetry);
    let buckets = scraped.samples("http_server_request_duration_seconds_bucket", &[]);
    let bounds: Vec<_> =
        buckets.iter().map(|bucket| bucket.split("le=\"").nth(1).unwrap()).collect();
    let bounds: Vec<_> = bounds.iter().map(|bound| bound.split('"').next().unwrap()).collect();
    let expected = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 +Inf";
    assert_eq!(bounds.join(" "), expected);
}

#[tokio::test]
async fn strangers_cannot_make_series() {
    let telemetry = testing::start();
    let app = app();
    let ask_both = async |number: usize| {
        ask(&app, "GET", &format!("/made/up/{number}")).await;
        ask(&app, &format!("BREW{number}"), "/users/1").await;
    };
    ask_both(0).await;
    let before = Scraped::of(&telemetry).series();
    for number in 1..500 {
        ask_both(number).await;
    }
    let after = Scraped::of(&telemetry);
    assert_eq!(after.series(), before);
    assert_eq!(after.value(SERVER_COUNT, &["GET", "404"]), 500.0);
    assert_eq!(after.value(SERVER_COUNT, &["_OTHER", "/users/{id}", "405"]), 500.0);
}

#[tokio::test]
async fn a_router_is_counted_apart_in_each_test_that_uses_it() {
    let app = app();
    for _ in 0..2 {
        let telemetry = testing::start();
        ask(&app, "GET", "/users/1").await;
        assert_eq!(Scraped::of(&telemetry).value(SERVER_COUNT, &["/users/{id}"]), 1.0);
    }
}

#[tokio::test]
async fn a_bucket_has_the_ids_of_a_sampled_request_and_keeps_them() {
    let telemetry = testing::start();
    let app = app();
    for flags in ["01", "00"] {
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let request = Request::get("/users/1").header("traceparent", parent).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let span = telemetry.span("GET /users/{id}");
    let scraped = Scraped::of(&telemetry);
    assert_eq!(scraped.value(SERVER_COUNT, &["/users/{id}"]), 2.0);
    let buckets = scraped.samples("http_server_request_duration_seconds_bucket", &["# {"]);
    let [bucket] = buckets[..] else { panic!("not one exemplar: {buckets:#?}") };
    let ids = format!("# {{trace_id=\"{}\",span_id=\"{}\"}}", span.trace_id, span.span_id);
    assert!(bucket.contains(&ids), "{bucket}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_under_way() {
    let telemetry = testing::start();
    let request = Request::get("/hangs").body(Body::empty()).unwrap();
    let mut hanging = Box::pin(app().oneshot(request));
    let mut context = Context::from_waker(Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    let during = Scraped::of(&telemetry);
    assert_eq!(during.value("http_server_active_requests", &["GET"]), 1.0);
    drop(hanging);
    let after = Scraped::of(&telemetry);
    after.nothing_is_active("server");
    assert_eq!(after.value(SERVER_COUNT, &["/hangs", "error_type=\"cancelled\""]), 1.0);
}

#[tokio::test]
async fn a_body_that_nobody_reads_to_its_end_leaves_nothing_under_way() {
    let telemetry = testing::start();
    let endless = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from("more")));
    let body = async || Body::from_stream(endless);
    let app = Router::new().route("/", get(body)).layer(spanline::http::server());
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(Scraped::of(&telemetry).value("http_server_active_requests", &[]), 1.0);
    drop(body);
    let after = Scraped::of(&telemetry);
    after.nothing_is_active("server");
    assert_eq!(after.value(SERVER_COUNT, &["\"200\"", "error_type=\"cancelled\""]), 1.0);
    assert_eq!(after.value("http_server_response_body_size_bytes_sum", &[]), 4.0);
}

#[tokio::test]
async fn a_timeout_and_a_panic_leave_nothing_under_way() {
    let telemetry = testing::start();
    let brief = Duration::from_millis(1);
    assert!(tokio::time::timeout(brief, ask(&app(), "GET", "/hangs")).await.is_err());
    let mut panics = Box::pin(app().oneshot(Request::get("/panics").body(Body::empty()).unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    let poll = AssertUnwindSafe(|| panics.as_mut().poll(&mut context).is_ready());
    assert!(catch_unwind(poll).is_err());
    let scraped = Scraped::of(&telemetry);
    scraped.nothing_is_active("server");
    assert_eq!(scraped.value(SERVER_COUNT, &["/hangs", "error_type=\"cancelled\""]), 1.0);
    assert_eq!(scraped.value(SERVER_COUNT, &["/panics", "error_type=\"panic\""]), 1.0);
}

// === the client's side ===

/// Answers by the path of what is sent.
async fn answer(request: Request<Full<Bytes>>) -> Result<Response<()>, &'static str> {
    let response = Response::builder();
    match request.uri().path() {
        "/" => Ok(response.header("content-length", "5").body(()).unwrap()),
        "/missing" => Ok(response.status(404).body(()).unwrap()),
        "/hangs" => std::future::pending().await,
        "/panics" => panic!("on purpose"),
        _ => Err("no connection"),
    }
}

async fn send(url: &str) -> Result<Response<()>, &'static str> {
    let client = ServiceBuilder::new().layer(spanline::http::client()).service_fn(answer);
    let request = Request::post(url).header("content-length", "3").body(Full::default()).unwrap();
    client.oneshot(request).await
}

#[tokio::test]
async fn what_a_client_sends_is_counted_by_whom_it_asks_and_how_that_went() {
    let telemetry = testing::start();
    for path in 0..2 {
        send(&format!("http://shop.example/?{path}")).await.unwrap();
    }
    send("https://[::1]:8443/missing").await.unwrap();
    send("http://shop.example/refuses").await.unwrap_err();
    let scraped = Scraped::of(&telemetry);
    let labels = "{http_request_method=\"POST\",url_scheme=\"http\",server_address=\"shop.example\",\
         server_port=\"80\",http_response_status_code=\"200\"}";
    assert_eq!(scraped.value(CLIENT_COUNT, &[labels]), 2.0);
    let missing = ["https", "\"::1\"", "\"8443\"", "code=\"404\"", "error_type=\"404\""];
    assert_eq!(scraped.value(CLIENT_COUNT, &missing), 1.0);
    assert_eq!(scraped.value(CLIENT_COUNT, &["error_type=\"request\""]), 1.0);
    assert_eq!(scraped.value("http_client_request_body_size_bytes_sum", &[labels]), 6.0);
    assert_eq!(scraped.value("http_client_response_body_size_bytes_sum", &[labels]), 10.0);
    scraped.nothing_is_active("client");
}

#[tokio::test]
async fn a_request_that_is_given_up_times_out_or_panics_leaves_nothing_under_way() {
    let telemetry = testing::start();
    let mut context = Context::from_waker(Waker::noop());
    let mut hangs = Box::pin(send("http://shop.example/hangs"));
    assert!(hangs.as_mut().poll(&mut context).is_pending());
    assert_eq!(Scraped::of(&telemetry).value("http_client_active_requests", &["shop"]), 1.0);
    drop(hangs);
    let brief = Duration::from_millis(1);
    assert!(tokio::time::timeout(brief, send("http://shop.example/hangs")).await.is_err());
    let mut panics = Box::pin(send("http://shop.example/panics"));
    let poll = AssertUnwindSafe(|| panics.as_mut().poll(&mut context).is_ready());
    assert!(catch_unwind(poll).is_err());
    let scraped = Scraped::of(&telemetry);
    scraped.nothing_is_active("client");
    assert_eq!(scraped.value(CLIENT_COUNT, &["error_type=\"cancelled\""]), 2.0);
    assert_eq!(scraped.value(CLIENT_COUNT, &["error_type=\"panic\""]), 1.0);
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn what_reqwest_sends_is_counted_with_the_sizes_of_both_bodies() {
    use spanline::http::SendTraced as _;

    let telemetry = testing::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app()).await });
    let client = reqwest::Client::new();
    let url = format!("http://{address}/users/1");
    client.get(&url).body("seven..").send_traced().await.unwrap();
    let timeout = Duration::from_millis(1);
    let hangs = client.get(format!("http://{address}/hangs")).timeout(timeout);
    hangs.send_traced().await.unwrap_err();
    let scraped = Scraped::of(&telemetry);
    let port = format!("server_port=\"{}\"", address.port());
    let labels = ["\"127.0.0.1\"", &port, "\"200\""];
    assert_eq!(scraped.value(CLIENT_COUNT, &labels), 1.0);
    assert_eq!(scraped.value(CLIENT_COUNT, &["error_type=\"timeout\""]), 1.0);
    assert_eq!(scraped.value("http_client_request_body_size_bytes_sum", &labels), 7.0);
    assert_eq!(scraped.value("http_client_response_body_size_bytes_sum", &labels), 6.0);
    scraped.nothing_is_active("client");
}

// === how requests are polled ===

#[tokio::test(start_paused = true)]
async fn a_poll_that_holds_its_worker_up_is_counted_with_its_route_and_the_request_s_ids() {
    let telemetry = testing::start();
    let holds_up = async |Path(millis): Path<u64>| {
        // The clock goes on within a poll, as it does beside work that does not yield.
        tokio::time::advance(Duration::from_millis(millis)).await;
        // And between polls, which is nobody's fault.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let app = Router::new()
        .route("/holds/up/{millis}", get(holds_up))
        .route("/quick", get(async || ()))
        .layer(spanline::http::server());
    for path in ["/holds/up/10", "/holds/up/30", "/quick"] {
        ask(&app, "GET", path).await;
    }
    let scraped = Scraped::of(&telemetry);
    let slow = "spanline_http_server_slow_polls_total";
    let labels = ["{http_route=\"/holds/up/{millis}\"}"];
    assert_eq!(scraped.value(slow, &labels), 1.0, "10 ms are not longer than 10 ms");
    assert_eq!(scraped.value(slow, &["/quick"]), 0.0);
    let spans = telemetry.spans();
    let exemplar = format!("span_id=\"{}\"", spans[1].span_id);
    assert!(scraped.samples(slow, &labels)[0].contains(&exemplar), "{}", scraped.0);
    let sum = |name: &str| scraped.value(&format!("{name}_sum"), &labels);
    assert_eq!(sum("spanline_http_server_poll_time_seconds"), 0.04);
    let duration = scraped.value("http_server_request_duration_seconds_sum", &["/holds/up"]);
    assert!((2.04..2.1).contains(&duration), "{duration}: the timer rounds up to a millisecond");
    let delays = scraped.samples("spanline_http_server_scheduling_delay_seconds_count", &[]);
    assert!(delays.is_empty(), "nobody asked for them: {delays:?}");
}

#[tokio::test(start_paused = true)]
async fn the_threshold_of_a_slow_poll_can_be_set() {
    let builder = spanline::builder("patient").slow_poll_threshold(Duration::from_millis(50));
    let telemetry = testing::start_with(builder);
    let holds_up = async |Path(millis): Path<u64>| {
        tokio::time::advance(Duration::from_millis(millis)).await;
    };
    let app = Router::new().route("/{millis}", get(holds_up)).layer(spanline::http::server());
    for path in ["/50", "/51"] {
        ask(&app, "GET", path).await;
    }
    assert_eq!(Scraped::of(&telemetry).value("spanline_http_server_slow_polls_total", &[]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_time_between_a_wake_and_the_poll_after_it_is_the_scheduling_delay() {
    let telemetry = testing::start();
    let wakes_itself = async || {
        let mut is_woken = false;
        poll_fn(|context| {
            if std::mem::replace(&mut is_woken, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    };
    let layer = spanline::http::server().measure_scheduling_delay();
    let app = Router::new().route("/", get(wakes_itself)).layer(layer);
    let mut answer = Box::pin(ask(&app, "GET", "/"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(answer.as_mut().poll(&mut context).is_pending());
    tokio::time::advance(Duration::from_millis(30)).await;
    answer.await;
    let scraped = Scraped::of(&telemetry);
    let name = "spanline_http_server_scheduling_delay_seconds";
    assert_eq!(scraped.value(&format!("{name}_sum"), &["{http_route=\"/\"}"]), 0.03);
    assert_eq!(scraped.value(&format!("{name}_count"), &[]), 1.0);
}

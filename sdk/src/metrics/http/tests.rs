use std::sync::atomic::Ordering;
use std::time::Duration;

use super::families::OUTCOMES_AT_HAND;
use super::*;
use crate::context::SpanIds;
use crate::metrics::snapshot::{Number, Value};

const GET: Asked<'static> = Asked { method: "GET", scheme: "http", server: None, route: None };
const USERS: Asked<'static> = Asked { route: Some("/users/{id}"), ..GET };
const IDS: SpanIds = SpanIds { trace_id: [1; 16], span_id: [2; 8], sampled: true };

fn ended(status: u16) -> Ended {
    Ended {
        outcome: Outcome { status: Some(status), error: None },
        duration: Duration::from_millis(30),
        request_bytes: None,
        response_bytes: Some(300),
        polled: None,
        span: None,
    }
}

#[test]
fn a_request_is_active_until_it_is_let_go_and_then_observed_with_its_span() {
    let registry = Registry::default();
    let recorder = Recorder::of_server(&registry);
    let users = recorder.requests(&USERS);
    let under_way = [users.clone().begin(), users.clone().begin()];
    let given_up = recorder.requests(&GET).begin();
    let line = "http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}";
    assert!(registry.to_openmetrics().contains(&format!("{line} 3\n")));
    drop(given_up);
    // The one that is not sampled takes no exemplar away.
    let unsampled = SpanIds { sampled: false, trace_id: [3; 16], ..IDS };
    for (one, span) in under_way.into_iter().zip([IDS, unsampled]) {
        one.end(&Ended { span: Some(span), ..ended(200) });
    }
    let text = registry.to_openmetrics();
    assert!(text.contains(&format!("{line} 0\n")), "{text}");
    let labels = "http_request_method=\"GET\",url_scheme=\"http\",http_route=\"/users/{id}\",\
         http_response_status_code=\"200\"";
    let bucket =
        format!("http_server_request_duration_seconds_bucket{{{labels},le=\"0.05\"}} 2 # ");
    let line = text.lines().find(|line| line.starts_with(&bucket)).unwrap();
    assert!(line.contains(&"01".repeat(16)), "{line}");
    assert!(
        text.contains(&format!("http_server_response_body_size_bytes_sum{{{labels}}} 600.0\n"))
    );
    assert!(!text.contains("request_body_size_bytes_count{"), "nobody told a size: {text}");
}

#[test]
fn requests_of_one_server_are_one_series_and_errors_have_their_words() {
    let registry = Registry::default();
    let recorder = Recorder::of_client(&registry);
    let asked = Asked { server: Some(("db", Some(80))), ..GET };
    for _ in 0..3 {
        let outcome = Outcome { status: None, error: Some(ErrorType::Word("timeout")) };
        let failed = Ended { outcome, response_bytes: None, ..ended(0) };
        recorder.requests(&asked).begin().end(&failed);
    }
    let text = registry.to_openmetrics();
    let count = "http_client_request_duration_seconds_count{http_request_method=\"GET\",\
         url_scheme=\"http\",server_address=\"db\",server_port=\"80\",error_type=\"timeout\"} 3\n";
    assert!(text.contains(count), "{text}");
}

#[test]
fn outcomes_beyond_those_at_hand_are_counted_where_they_belong() {
    let registry = Registry::default();
    let users = Recorder::of_server(&registry).requests(&USERS);
    for _ in 0..2 {
        for status in 200..200 + 3 * OUTCOMES_AT_HAND as u16 {
            users.clone().begin().end(&ended(status));
        }
    }
    let text = registry.to_openmetrics();
    let counts = text.lines().filter(|line| line.contains("duration_seconds_count{"));
    let counts: Vec<_> = counts.map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(counts, ["2"; 3 * OUTCOMES_AT_HAND]);
}

#[test]
fn ever_new_values_end_at_the_cap_and_what_goes_there_is_counted_once() {
    let registry = Registry::default();
    let recorder = Recorder::of_server(&registry);
    for number in 0..10_000 {
        let route = format!("/{number}");
        let asked = Asked { route: Some(&route), ..GET };
        recorder.requests(&asked).begin().end(&ended(200));
    }
    let snapshot = registry.snapshot();
    let family = snapshot.family("http_server_request_duration_seconds").unwrap();
    assert_eq!(family.points.len(), 2_001);
    assert_eq!(registry.common().losses.overflow.load(Ordering::Relaxed), 8_000);
    let family = snapshot.family("http_server_active_requests").unwrap();
    assert_eq!(family.points.len(), 2);
    for point in &family.points {
        let Value::Number { number, .. } = point.value else { panic!("{point:?}") };
        assert_eq!(number, Number::Signed(0));
    }
}

#[test]
fn what_begins_on_one_thread_may_end_on_another() {
    let registry = Registry::default();
    let requests = Recorder::of_server(&registry).requests(&GET);
    let under_way: Vec<_> = (0..64).map(|_| requests.clone().begin()).collect();
    std::thread::scope(|scope| {
        for one in under_way {
            scope.spawn(move || one.end(&ended(200)));
        }
    });
    let Value::Number { number, .. } = requests.0.data.active.data.value() else { panic!() };
    assert_eq!(number, Number::Signed(0));
}

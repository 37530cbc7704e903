//! What every answer says to browsers, and which requests are not answered.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, StatusCode};

/// Nothing from elsewhere, nothing inline, no frames.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Refuses what is no reading, and adds the headers that browsers heed.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    // Grafana sends its questions to Prometheus as forms.
    let is_question = request.method() == Method::POST
        && request.uri().path().starts_with(super::prometheus::PREFIX);
    if !is_question && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        let text = "this API only reads: use GET\n";
        return (StatusCode::METHOD_NOT_ALLOWED, allow, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses requests that call this machine by a name which anybody could have pointed at it.
pub(super) async fn this_machine_only(request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().cloned().or_else(|| named?.parse().ok());
    if authority.as_ref().is_some_and(is_this_machine) {
        return next.run(request).await;
    }
    let text = "this listener is on loopback and answers to its address or localhost only\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

fn is_this_machine(authority: &Authority) -> bool {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.parse::<std::net::IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_anybody_can_own_is_not_this_machine() {
        for ours in ["127.0.0.1:9880", "[::1]:9880", "localhost", "LOCALHOST:9880", "a.localhost"] {
            assert!(is_this_machine(&ours.parse().unwrap()), "{ours}");
        }
        for other in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:9880"] {
            assert!(!is_this_machine(&other.parse().unwrap()), "{other}");
        }
    }
}

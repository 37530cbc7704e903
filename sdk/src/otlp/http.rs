//! OTLP over HTTP, as protobuf.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{Connector, Distrust};
use super::{Answer, MAX_ANSWER_BYTES, Sender};
use crate::config::OtlpConfig;
use crate::gzip::gzipped;

/// A connection that is idle for longer is made anew.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// What of a try's time, as it is left when the answer's head is there, its body may take: not all, since whoever waits
/// for the try would give up first.
const BODY_SHARE: f64 = 0.75;

pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    distrust: Distrust,
    uri: Uri,
    headers: HeaderMap,
    gzip: bool,
    /// Of a whole try.
    timeout: Duration,
}

impl Http {
    pub(super) fn new(config: &OtlpConfig) -> Self {
        let connector = Connector::new(config, b"http/1.1");
        let distrust = connector.distrust();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.extend(config.headers.iter().cloned());
        let (uri, gzip, timeout) = (config.endpoint.uri.clone(), config.gzip, config.timeout);
        Self { client, distrust, uri, headers, gzip, timeout }
    }
}

impl Sender for Http {
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let body = if self.gzip { gzipped(&request).into() } else { request };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request);
        let (distrust, timeout) = (self.distrust.clone(), self.timeout);
        let began = Instant::now();
        Box::pin(async move {
            match response.await {
                Ok(response) => {
                    let left = timeout.saturating_sub(began.elapsed());
                    answer(response, left.mul_f64(BODY_SHARE)).await
                }
                Err(error) => Answer::none(&distrust, &error),
            }
        })
    }
}

/// The head decides. A body that is too long, breaks off, or does not come within `patience` says no more than none:
/// were the request sent again for that, what was taken would be there twice.
async fn answer(response: Response<Incoming>, patience: Duration) -> Answer {
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(patience, Limited::new(body, MAX_ANSWER_BYTES).collect());
    let body = match body.await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    if parts.status.is_success() {
        return Answer::taken(body);
    }
    let why = format!("the receiver answered {}", parts.status);
    match parts.status {
        // The four that OTLP lists.
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Later { wait: retry_after(&parts.headers), why },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Answer::refused(&why, true),
        _ => Answer::refused(&why, false),
    }
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    date.duration_since(SystemTime::now()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(value: &str) -> Option<Duration> {
        let value = HeaderValue::from_str(value).unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), None, "what is past needs no wait");
        assert!(wait("Tue, 06 Nov 2096 08:49:37 GMT") > Some(Duration::from_secs(1_000_000)));
    }
}

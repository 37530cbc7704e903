//! One HTTP client for all exporters that push over it: keeps connections, bounds what it waits for and what it reads.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use super::ExportError;
use crate::auth::Credentials;
use crate::config;
use crate::reload::Unusable;
use crate::tls::{Connector, Distrust};

/// How long a connection that nothing is sent on is kept, as in the Collector.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// What is read of an answer. Loki names every line that it refuses, in about 200 bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// What is told of an answer.
const MAX_TOLD_CHARS: usize = 300;

/// Sends requests.
#[derive(Debug, Clone)]
pub(super) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    distrust: Distrust,
    headers: HeaderMap,
    credentials: Option<Arc<Credentials>>,
    timeout: Duration,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    retry_after: Option<Duration>,
}

impl HttpClient {
    /// A client that connects when there is something to send.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub(super) fn new(
        settings: &config::HttpClient,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, Unusable> {
        let connector = Connector::new(settings.tls.as_ref(), &[b"http/1.1"])?;
        let distrust = connector.distrust();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let own = concat!("spanline-agent/", env!("CARGO_PKG_VERSION"));
        let mut headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(own))]);
        for (name, value) in &settings.headers {
            // What cannot be sent was a fault of the configuration.
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.insert(name, value);
            }
        }
        Ok(Self { client, distrust, headers, credentials, timeout: settings.timeout })
    }

    /// Posts `body`; `headers` go before those of the configuration.
    pub(super) async fn post(
        &self,
        to: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, ExportError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = to.clone();
        request.headers_mut().clone_from(&self.headers);
        if let Some(credentials) = &self.credentials {
            credentials.show(request.headers_mut());
        }
        request.headers_mut().extend(headers);
        let exchange = async {
            let response = self.client.request(request).await;
            let (head, body) = response.map_err(|error| self.broken(to, &error))?.into_parts();
            let body = read(&head.headers, body).await;
            let body = body.map_err(|error| self.broken(to, &error))?;
            let retry_after = retry_after(&head.headers, SystemTime::now());
            Ok(Reply { status: head.status, body, retry_after })
        };
        let no_answer =
            || ExportError::Unreachable(format!("{to} gave no answer within {:?}", self.timeout));
        timeout(self.timeout, exchange).await.unwrap_or_else(|_| Err(no_answer()))
    }
}

impl HttpClient {
    /// The failure of an exchange without a whole answer.
    fn broken(&self, to: &Uri, error: &(dyn std::error::Error + 'static)) -> ExportError {
        if let Some(why) = self.distrust.why() {
            return ExportError::Unreachable(format!("{to}: {why}"));
        }
        // What matters is the innermost: "client error (Connect)" says nothing.
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        ExportError::Unreachable(format!("{to}: {cause}"))
    }
}

impl Reply {
    /// The first line of the body, for a message.
    pub(super) fn told(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = text.lines().next().unwrap_or_default();
        line.chars().take(MAX_TOLD_CHARS).collect()
    }

    /// The failure of a request that may come again later.
    pub(super) fn later(&self, to: &Uri) -> ExportError {
        let why = self.why(to);
        match self.retry_after {
            Some(after) => ExportError::Busy { why, after },
            None => ExportError::Unreachable(why),
        }
    }

    /// The failure of a request that its credentials are not enough for.
    pub(super) fn denied(&self, to: &Uri) -> ExportError {
        let why = self.why(to);
        ExportError::Denied(format!(
            "{why}; check auth, headers and the token or password behind them"
        ))
    }

    pub(super) fn why(&self, to: &Uri) -> String {
        format!("{to} answers {}: {}", self.status, self.told())
    }
}

/// As much of the body as we care for; the rest is left, and its connection with it.
async fn read(headers: &HeaderMap, mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut read = BytesMut::with_capacity(length.unwrap_or(0).min(MAX_ANSWER_BYTES));
    while read.len() < MAX_ANSWER_BYTES
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame?.into_data() {
            let room = MAX_ANSWER_BYTES - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(read.freeze())
}

/// How long the other side asks to be left alone: in seconds, or until a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_until_a_date() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 20:00:00 GMT").unwrap();
        for (value, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Tue, 24 Nov 2026 20:00:30 GMT", Some(30)),
            ("Tue, 24 Nov 2026 19:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            let asked_for = retry_after(&headers, now);
            assert_eq!(asked_for, expected.map(Duration::from_secs), "{value:?}");
        }
    }
}

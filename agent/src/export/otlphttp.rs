//! The `otlphttp` exporter: OTLP over HTTP, to a Collector, Tempo, Loki's `/otlp`, Prometheus's `/api/v1/otlp`.
//!
//! 429, 502, 503 and 504 are tried again, as OTLP's specification has it, and 401 and 403 until the credentials are right;
//! everything else is refused, and dropped with its reason.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};

use super::http::{HttpClient, Reply};
use super::loki::refused_lines;
use super::otlp::message::{Request, gzipped};
use super::{Answer, ExportError, Exporter, Exporting};
use crate::auth::Credentials;
use crate::config::{Encoding, OtlpHttp as Settings, Signal};
use crate::record::Batch;
use crate::reload::Unusable;

/// The exporter.
#[derive(Debug)]
pub struct OtlpHttp {
    client: HttpClient,
    settings: Settings,
}

impl OtlpHttp {
    /// An exporter that connects when there is something to send.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(
        settings: &Settings,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, Unusable> {
        let client = HttpClient::new(&settings.client, credentials)?;
        Ok(Self { client, settings: settings.clone() })
    }

    async fn deliver(&self, batch: &Batch) -> Result<Answer, ExportError> {
        let (signal, encoding) = (signal(batch), self.settings.encoding);
        let Some(to) = self.settings.url(signal) else {
            // Such a pipeline is a fault of the configuration.
            return Err(ExportError::Refused(format!("there is no endpoint for {signal}")));
        };
        let request = Request::of(batch);
        let mut body = request.encode(encoding);
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type(encoding))]);
        if let Some(level) = self.settings.gzip {
            let zipped = gzipped(&body, level);
            body = zipped.map_err(|error| ExportError::Refused(error.to_string()))?;
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let reply = self.client.post(to, headers, Bytes::from(body)).await?;
        if !reply.status.is_success() {
            return failure(to, &reply, batch);
        }
        let mut answer = Answer::default();
        let (rejected, why) = request.rejected(&reply.body, encoding);
        if rejected > 0 {
            answer.refused.push(("rejected", rejected));
            answer.told = why;
        }
        Ok(answer)
    }
}

impl Exporter for OtlpHttp {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async move { self.deliver(&batch).await })
    }
}

fn failure(to: &Uri, reply: &Reply, batch: &Batch) -> Result<Answer, ExportError> {
    // Loki takes what it can of the lines, and tells what it could not.
    if let (StatusCode::BAD_REQUEST, Batch::Logs(_)) = (reply.status, batch)
        && let Some(refused) = refused_lines(&reply.body, batch.items() as u64)
    {
        return Ok(Answer { refused, told: reply.why(to), rest: None });
    }
    Err(match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => reply.denied(to),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => reply.later(to),
        StatusCode::PAYLOAD_TOO_LARGE => ExportError::TooLarge,
        _ => ExportError::Refused(reply.why(to)),
    })
}

fn signal(batch: &Batch) -> Signal {
    match batch {
        Batch::Spans(_) => Signal::Traces,
        Batch::Metrics(_) => Signal::Metrics,
        Batch::Logs(_) => Signal::Logs,
    }
}

fn content_type(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Proto => "application/x-protobuf",
        Encoding::Json => "application/json",
    })
}

#[cfg(test)]
mod tests;

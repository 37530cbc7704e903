//! The `otlp` exporter: OTLP over gRPC, to Tempo, a Collector, or another agent.
//!
//! What the answer's code calls temporary is tried again; everything else is refused, and dropped with its reason.

mod logs;
pub(super) mod message;

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::{Answer, ExportError, Exporter, Exporting};
use crate::auth::Credentials;
use crate::config::OtlpExporter;
use crate::record::Batch;
use crate::rpc_status::RpcStatus;
use crate::tls::{Connector, Distrust};

/// How gRPC for Go, gRPC for Rust and another agent say that a message is too large: sent again as it is, it would be
/// too large again.
const TOO_LARGE: [(Code, &str); 3] = [
    (Code::ResourceExhausted, "message larger than max"),
    (Code::OutOfRange, "message length too large"),
    (Code::InvalidArgument, "send smaller batches"),
];

/// How Tempo says that it cannot store anything now, by the status that says nothing: while it ends, for one, its
/// distributor finds that the ingester has gone.
const AWAY: [&str; 4] =
    ["InstancesCount <= 0", "empty ring", "too many unhealthy instances", "live replicas required"];

/// The exporter.
#[derive(Debug)]
pub struct Otlp {
    channel: Channel,
    distrust: Distrust,
    settings: OtlpExporter,
    headers: HeaderMap,
    credentials: Option<Arc<Credentials>>,
}

impl Otlp {
    /// An exporter that connects by `connector` when there is something to send, and shows `credentials`. It wants a
    /// runtime around it.
    ///
    /// # Errors
    /// When the endpoint is no address.
    pub fn new(
        settings: OtlpExporter,
        connector: Connector,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, tonic::transport::Error> {
        // TLS is the connector's; requests name the scheme all the same.
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let authority =
            settings.authority.as_ref().map_or(&*settings.endpoint, |name| name.as_str());
        let origin = Endpoint::from_shared(format!("{scheme}://{authority}"))?;
        let endpoint = Endpoint::from_shared(format!("http://{}", settings.endpoint))?
            .origin(origin.uri().clone())
            .http2_keep_alive_interval(settings.keepalive.time)
            .keep_alive_timeout(settings.keepalive.timeout)
            .keep_alive_while_idle(settings.keepalive.permit_without_stream);
        let headers = settings.headers.iter().filter_map(|(name, value)| {
            Some((http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value).ok()?))
        });
        let headers = headers.collect();
        let distrust = connector.distrust();
        let channel = endpoint.connect_with_connector_lazy(connector);
        Ok(Self { channel, distrust, settings, headers, credentials })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut headers = self.headers.clone();
        if let Some(credentials) = &self.credentials {
            credentials.show(&mut headers);
        }
        let metadata = MetadataMap::from_headers(headers);
        let mut request = Request::from_parts(metadata, Default::default(), message);
        request.set_timeout(self.settings.timeout);
        request
    }

    /// Sends a batch; the answer is how many items were rejected, and why.
    async fn send(&self, batch: &Batch) -> Result<(i64, String), Status> {
        let channel = self.channel.clone();
        macro_rules! call {
            ($client:ident, $message:expr, $rejected:ident) => {{
                let mut client = $client::new(channel);
                if self.settings.gzip {
                    // A server may answer as it was asked: the Collector does.
                    client = client
                        .send_compressed(CompressionEncoding::Gzip)
                        .accept_compressed(CompressionEncoding::Gzip);
                }
                let answer = client.export(self.request($message)).await?.into_inner();
                let partial = answer.partial_success.unwrap_or_default();
                Ok((partial.$rejected, partial.error_message))
            }};
        }
        match batch {
            Batch::Spans(batch) => {
                let message =
                    ExportTraceServiceRequest { resource_spans: batch.resource_spans.clone() };
                call!(TraceServiceClient, message, rejected_spans)
            }
            Batch::Metrics(batch) => {
                let message = ExportMetricsServiceRequest {
                    resource_metrics: batch.resource_metrics.clone(),
                };
                call!(MetricsServiceClient, message, rejected_data_points)
            }
            Batch::Logs(batches) => {
                let resource_logs = batches.iter().map(logs::resource_logs).collect();
                call!(
                    LogsServiceClient,
                    ExportLogsServiceRequest { resource_logs },
                    rejected_log_records
                )
            }
        }
    }
}

impl Exporter for Otlp {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async move {
            // The timeout that the request carries is the server's to keep; this one is ours.
            let sent = tokio::time::timeout(self.settings.timeout, self.send(&batch)).await;
            let sent = sent.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
            let endpoint = &self.settings.endpoint;
            let (rejected, why) = sent.map_err(|status| match self.distrust.why() {
                Some(why) if is_broken(&status) => {
                    ExportError::Unreachable(format!("{endpoint}: {why}"))
                }
                _ => error(endpoint, &status),
            })?;
            let mut answer = Answer::default();
            if rejected > 0 {
                answer.refused.push(("rejected", rejected.unsigned_abs()));
                answer.told = why;
            }
            Ok(answer)
        })
    }
}

/// The connection broke or could not be made, and the server has said nothing.
fn is_broken(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// What OTLP's specification says of each code.
fn error(endpoint: &str, status: &Status) -> ExportError {
    if is_broken(status) {
        let mut why: &dyn std::error::Error = status;
        while let Some(source) = why.source() {
            why = source;
        }
        return ExportError::Unreachable(format!("{endpoint}: {why}"));
    }
    let code = status.code();
    if TOO_LARGE.iter().any(|(known, part)| *known == code && status.message().contains(part)) {
        return ExportError::TooLarge;
    }
    let what = format!("{endpoint} answers {code:?}: {}", status.message());
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        // With or without RetryInfo: a receiver that is only full must not cost data.
        | Code::ResourceExhausted => match RpcStatus::retry_after(status.details()) {
            Some(after) => ExportError::Busy { why: what, after },
            None => ExportError::Unreachable(what),
        },
        Code::Unknown if AWAY.iter().any(|away| status.message().contains(away)) => {
            ExportError::Unreachable(what)
        }
        // Not for the batch: whoever puts the credentials right wants it delivered.
        Code::Unauthenticated | Code::PermissionDenied => ExportError::Denied(what),
        _ => ExportError::Refused(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_temporary_is_tried_again_and_nothing_else_is() {
        let is_retryable = |code| error("tempo:4317", &Status::new(code, "why")).is_retryable();
        for code in [
            Code::Unavailable,
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
            Code::Unauthenticated,
        ] {
            assert!(is_retryable(code), "{code:?}");
        }
        for code in [Code::InvalidArgument, Code::Unimplemented, Code::OutOfRange] {
            assert!(!is_retryable(code), "{code:?}");
        }
        let ends = error("tempo:4317", &Status::new(Code::Unknown, "DoBatch: InstancesCount <= 0"));
        assert!(ends.is_retryable(), "{ends}");
        assert!(!is_retryable(Code::Unknown));
        for (code, message) in [
            (Code::ResourceExhausted, "grpc: received message larger than max (9 vs. 4)"),
            (Code::OutOfRange, "Error, decoded message length too large: found 9 bytes"),
            (Code::InvalidArgument, "the body is larger than 4 bytes; send smaller batches"),
        ] {
            let error = error("tempo:4317", &Status::new(code, message));
            assert!(matches!(error, ExportError::TooLarge), "{error}");
        }
        let told = error("tempo:4317", &Status::new(Code::Unauthenticated, "who?")).to_string();
        assert_eq!(told, "not let in: tempo:4317 answers Unauthenticated: who?");
    }
}

//! A batch as the request that OTLP carries it in.

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde::de::DeserializeOwned;

use super::logs::resource_logs;
use crate::config::Encoding;
use crate::otlp_json;
use crate::record::Batch;

/// The request of one signal.
#[derive(Debug)]
pub(in crate::export) enum Request {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Request {
    pub(in crate::export) fn of(batch: &Batch) -> Self {
        match batch {
            Batch::Spans(batch) => Self::Traces(ExportTraceServiceRequest {
                resource_spans: batch.resource_spans.clone(),
            }),
            Batch::Metrics(batch) => Self::Metrics(ExportMetricsServiceRequest {
                resource_metrics: batch.resource_metrics.clone(),
            }),
            Batch::Logs(batches) => Self::Logs(ExportLogsServiceRequest {
                resource_logs: batches.iter().map(resource_logs).collect(),
            }),
        }
    }

    pub(in crate::export) fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match (self, encoding) {
            (Self::Traces(request), Encoding::Proto) => request.encode_to_vec(),
            (Self::Metrics(request), Encoding::Proto) => request.encode_to_vec(),
            (Self::Logs(request), Encoding::Proto) => request.encode_to_vec(),
            (Self::Traces(request), Encoding::Json) => otlp_json::to_vec(request),
            (Self::Metrics(request), Encoding::Json) => otlp_json::to_vec(request),
            (Self::Logs(request), Encoding::Json) => otlp_json::to_vec(request),
        }
    }

    /// How many items an answer to this says were rejected, and why; an answer that cannot be read says none.
    pub(in crate::export) fn rejected(&self, answer: &[u8], encoding: Encoding) -> (u64, String) {
        macro_rules! partial {
            ($answer:ty, $rejected:ident) => {{
                let answer: $answer = read(answer, encoding);
                let partial = answer.partial_success.unwrap_or_default();
                (partial.$rejected.unsigned_abs(), partial.error_message)
            }};
        }
        match self {
            Self::Traces(_) => partial!(ExportTraceServiceResponse, rejected_spans),
            Self::Metrics(_) => partial!(ExportMetricsServiceResponse, rejected_data_points),
            Self::Logs(_) => partial!(ExportLogsServiceResponse, rejected_log_records),
        }
    }
}

fn read<T: prost::Message + Default + DeserializeOwned>(answer: &[u8], encoding: Encoding) -> T {
    match encoding {
        Encoding::Proto => T::decode(answer).unwrap_or_default(),
        Encoding::Json => otlp_json::from_slice(answer).unwrap_or_default(),
    }
}

/// What `gzip` makes of a body; a level of 0 to 9.
pub(in crate::export) fn gzipped(body: &[u8], level: u32) -> std::io::Result<Vec<u8>> {
    use std::io::Write as _;
    let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(level));
    gzip.write_all(body)?;
    gzip.finish()
}

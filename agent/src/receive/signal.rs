//! The three signals: what their requests and answers are, and how they become a batch.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scan::{self, Shape};
use super::{logs, spans};
use crate::record::{Batch, MetricBatch};

/// One of OTLP's signals.
pub(super) trait Signal: Send + Sync + 'static {
    /// As metrics label it.
    const NAME: &'static str;
    /// Where OTLP/HTTP posts it.
    const HTTP_PATH: &'static str;
    /// Where OTLP/gRPC calls it.
    const GRPC_PATH: &'static str;
    /// For the scan.
    const SHAPE: &'static Shape;
    /// What a sender sends.
    type Request: prost::Message + DeserializeOwned + Default + Send;
    /// What it is answered.
    type Response: prost::Message + Serialize + Default + Send;

    /// The valid part of a request, and how much of it was not valid.
    fn batch(request: Self::Request) -> Sorted;

    /// The answer when `rejected` items were not valid (0: all were), and why.
    fn response(rejected: Rejected) -> Self::Response;
}

/// A request, sorted into what can be kept and what cannot.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) batch: Batch,
    pub(super) rejected: Rejected,
}

/// Items that cannot be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) items: usize,
    pub(super) why: &'static str,
}

/// Spans.
pub(super) struct Traces;

/// Log records.
pub(super) struct Logs;

/// Data points.
pub(super) struct Metrics;

impl Signal for Traces {
    const NAME: &'static str = "traces";
    const HTTP_PATH: &'static str = "/v1/traces";
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    const SHAPE: &'static Shape = &scan::TRACES;
    type Request = ExportTraceServiceRequest;
    type Response = ExportTraceServiceResponse;

    fn batch(request: Self::Request) -> Sorted {
        spans::batch(request.resource_spans)
    }

    fn response(rejected: Rejected) -> Self::Response {
        let partial_success = (rejected.items > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected.items as i64,
            error_message: rejected.why.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Signal for Logs {
    const NAME: &'static str = "logs";
    const HTTP_PATH: &'static str = "/v1/logs";
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    const SHAPE: &'static Shape = &scan::LOGS;
    type Request = ExportLogsServiceRequest;
    type Response = ExportLogsServiceResponse;

    fn batch(request: Self::Request) -> Sorted {
        let batch = Batch::Logs(logs::batches(request.resource_logs));
        Sorted { batch, rejected: Rejected::default() }
    }

    fn response(rejected: Rejected) -> Self::Response {
        let partial_success = (rejected.items > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected.items as i64,
            error_message: rejected.why.to_owned(),
        });
        ExportLogsServiceResponse { partial_success }
    }
}

impl Signal for Metrics {
    const NAME: &'static str = "metrics";
    const HTTP_PATH: &'static str = "/v1/metrics";
    const GRPC_PATH: &'static str =
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    const SHAPE: &'static Shape = &scan::METRICS;
    type Request = ExportMetricsServiceRequest;
    type Response = ExportMetricsServiceResponse;

    fn batch(request: Self::Request) -> Sorted {
        let batch = Batch::Metrics(MetricBatch { resource_metrics: request.resource_metrics });
        Sorted { batch, rejected: Rejected::default() }
    }

    fn response(_: Rejected) -> Self::Response {
        ExportMetricsServiceResponse::default()
    }
}

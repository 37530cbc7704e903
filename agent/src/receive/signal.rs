//! What the three signals have in common, so that each transport is written once.

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scan::{self, Shape};
use super::{Rejected, decode};
use crate::record::{Batch, MetricBatch};

/// An OTLP export request, and the answer that belongs to it.
pub(super) trait Signal:
    prost::Message + Default + DeserializeOwned + Send + Sync + 'static
{
    /// What is answered.
    type Answer: prost::Message + Default + Serialize + Send + Sync + 'static;

    /// The signal's name, as metrics label it.
    const NAME: &'static str;
    /// Where it is sent over HTTP.
    const HTTP_PATH: &'static str;
    /// Where it is sent over gRPC.
    const GRPC_PATH: &'static str;
    /// What its messages look like on the wire.
    const SHAPE: &'static Shape;

    /// Makes a batch of it, without what no back end could take.
    fn into_batch(self) -> (Batch, Rejected);

    /// The answer to a request that was taken, all of it or in part.
    fn answer(rejected: Rejected) -> Self::Answer;
}

impl Signal for ExportTraceServiceRequest {
    type Answer = ExportTraceServiceResponse;

    const NAME: &'static str = "traces";
    const HTTP_PATH: &'static str = "/v1/traces";
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    const SHAPE: &'static Shape = &scan::TRACES;

    fn into_batch(self) -> (Batch, Rejected) {
        let (batch, rejected) = decode::spans(self.resource_spans);
        (Batch::Spans(batch), rejected)
    }

    fn answer(rejected: Rejected) -> Self::Answer {
        let partial_success = (rejected.items > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: rejected.items,
            error_message: rejected.why.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }
    }
}

impl Signal for ExportLogsServiceRequest {
    type Answer = ExportLogsServiceResponse;

    const NAME: &'static str = "logs";
    const HTTP_PATH: &'static str = "/v1/logs";
    const GRPC_PATH: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    const SHAPE: &'static Shape = &scan::LOGS;

    fn into_batch(self) -> (Batch, Rejected) {
        (Batch::Logs(decode::logs(self.resource_logs)), Rejected::default())
    }

    fn answer(rejected: Rejected) -> Self::Answer {
        let partial_success = (rejected.items > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected.items,
            error_message: rejected.why.to_owned(),
        });
        ExportLogsServiceResponse { partial_success }
    }
}

impl Signal for ExportMetricsServiceRequest {
    type Answer = ExportMetricsServiceResponse;

    const NAME: &'static str = "metrics";
    const HTTP_PATH: &'static str = "/v1/metrics";
    const GRPC_PATH: &'static str =
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    const SHAPE: &'static Shape = &scan::METRICS;

    fn into_batch(self) -> (Batch, Rejected) {
        let batch = MetricBatch { resource_metrics: self.resource_metrics };
        (Batch::Metrics(batch), Rejected::default())
    }

    fn answer(rejected: Rejected) -> Self::Answer {
        let partial_success = (rejected.items > 0).then(|| ExportMetricsPartialSuccess {
            rejected_data_points: rejected.items,
            error_message: rejected.why.to_owned(),
        });
        ExportMetricsServiceResponse { partial_success }
    }
}

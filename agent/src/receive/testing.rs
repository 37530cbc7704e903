//! Requests for tests.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::record::text_attribute;

/// `spans` ordinary spans of one service.
pub(crate) fn request(service_name: &str, spans: usize) -> ExportTraceServiceRequest {
    let span = |number: usize| Span {
        trace_id: vec![7; 16],
        span_id: (number as u64 + 1).to_be_bytes().to_vec(),
        name: "GET /something".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_010_000_000,
        attributes: vec![
            text_attribute("http.request.method", "GET"),
            text_attribute("http.route", "/something"),
            text_attribute("url.path", "/something"),
        ],
        ..Span::default()
    };
    let resource = Resource {
        attributes: vec![text_attribute("service.name", service_name)],
        ..Resource::default()
    };
    of_spans(Some(resource), (0..spans).map(span).collect())
}

/// `spans` spans of two bytes each.
pub(crate) fn empty_spans(spans: usize) -> ExportTraceServiceRequest {
    of_spans(None, vec![Span::default(); spans])
}

fn of_spans(resource: Option<Resource>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

/// One data point of one gauge.
pub(crate) fn one_gauge_point() -> ResourceMetrics {
    let data_points = vec![NumberDataPoint::default()];
    let data = Some(metric::Data::Gauge(Gauge { data_points }));
    let metrics = vec![Metric { name: "queue_length".to_owned(), data, ..Metric::default() }];
    ResourceMetrics {
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    }
}

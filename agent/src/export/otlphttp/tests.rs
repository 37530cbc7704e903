use std::collections::HashMap;
use std::io::Read as _;

use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::*;
use crate::config::{Config, Exporter as Configured};
use crate::export::testing::{self, Server, answer};
use crate::otlp_json;
use crate::record::{MetricBatch, SpanBatch};

fn configured(exporter: &str) -> Result<Settings, String> {
    let yaml = format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\n\
         exporters: {{otlp_http: {{{exporter}}}}}\n\
         service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}, \
         logs: {{receivers: [otlp], exporters: [otlp_http]}}}}}}"
    );
    let config = Config::from_yaml(&yaml, "test", &HashMap::new()).map_err(|e| e.to_string())?;
    match &config.exporters[0].settings {
        Configured::OtlpHttp(settings) => Ok(settings.clone()),
        other => Err(format!("{other:?}")),
    }
}

fn exporter(server: &Server, keys: &str) -> OtlpHttp {
    let keys = keys.replace("SERVER", &format!("http://{}", server.address));
    OtlpHttp::new(&configured(&keys).unwrap(), None).unwrap()
}

fn spans() -> Arc<Batch> {
    let request = crate::receive::testing::empty_spans(3);
    Arc::new(Batch::Spans(SpanBatch { resource_spans: request.resource_spans }))
}

fn points() -> Arc<Batch> {
    let resource_metrics = vec![crate::receive::testing::one_gauge_point()];
    Arc::new(Batch::Metrics(MetricBatch { resource_metrics }))
}

fn logs(count: usize) -> Arc<Batch> {
    Arc::new(Batch::Logs(vec![testing::lines(&vec!["line"; count])]))
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn each_signal_goes_to_its_path_below_the_endpoint_or_to_its_own() {
    let server = Server::start(|_| answer(200, "")).await;
    let to = exporter(&server, "endpoint: SERVER/api/v1/otlp/, logs_endpoint: SERVER/push");
    for batch in [spans(), points(), logs(2)] {
        let answer = to.export(batch).await.unwrap();
        assert!(answer.refused.is_empty() && answer.rest.is_none());
    }
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/api/v1/otlp/v1/traces", "/api/v1/otlp/v1/metrics", "/push"]);
}

#[tokio::test]
async fn bodies_are_in_the_form_and_of_the_size_that_is_asked_for() {
    let expected = match &*spans() {
        Batch::Spans(batch) => {
            ExportTraceServiceRequest { resource_spans: batch.resource_spans.clone() }
        }
        other => panic!("{other:?}"),
    };
    let server = Server::start(|_| answer(200, "")).await;
    for (keys, content_type, is_zipped) in [
        ("encoding: proto", "application/x-protobuf", true),
        ("compression: none", "application/x-protobuf", false),
        ("encoding: json, compression: none", "application/json", false),
        ("encoding: json, compression_params: {level: 9}", "application/json", true),
    ] {
        exporter(&server, &format!("endpoint: SERVER, {keys}")).export(spans()).await.unwrap();
        let request = server.requests().pop().unwrap();
        assert_eq!(request.headers[CONTENT_TYPE], content_type, "{keys}");
        assert_eq!(request.headers.contains_key(CONTENT_ENCODING), is_zipped, "{keys}");
        let body = if is_zipped { unzipped(&request.body) } else { request.body.to_vec() };
        let sent: ExportTraceServiceRequest = match content_type {
            "application/json" => otlp_json::from_slice(&body).unwrap(),
            _ => Message::decode(&*body).unwrap(),
        };
        assert_eq!(sent, expected, "{keys}");
    }
    let sizes = [1, 9].map(|level| {
        let body = unzipped(&gzipped(&[7; 100_000], level).unwrap());
        assert_eq!(body.len(), 100_000);
        gzipped(&Request::of(&logs(10_000)).encode(Encoding::Json), level).unwrap().len()
    });
    assert!(sizes[0] > sizes[1], "{sizes:?}");
}

#[tokio::test]
async fn what_is_rejected_of_a_batch_is_told() {
    let partial = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "odd".into() };
    let answered = ExportLogsServiceResponse { partial_success: Some(partial) };
    for (keys, body) in [
        ("encoding: proto", answered.encode_to_vec()),
        ("encoding: json", otlp_json::to_vec(&answered)),
    ] {
        let server = Server::start(move |_| answer(200, &body)).await;
        let to = exporter(&server, &format!("endpoint: SERVER, {keys}"));
        assert_eq!(to.export(logs(5)).await.unwrap().refused, [("rejected", 2)]);
    }
}

#[tokio::test]
async fn what_may_be_taken_later_is_told_from_what_never_will_be() {
    for (status, expected) in [
        (429, "busy for 4s"),
        (502, "busy for 4s"),
        (503, "busy for 4s"),
        (504, "busy for 4s"),
        (401, "not let in"),
        (403, "not let in"),
        (400, "refused"),
        (404, "refused"),
        (413, "larger than"),
        (500, "refused"),
        (301, "refused"),
    ] {
        let server = Server::start(move |_| answer(status, "because").with("retry-after", "4"));
        let server = server.await;
        let error = exporter(&server, "endpoint: SERVER").export(spans()).await.unwrap_err();
        let told = error.to_string();
        assert!(told.starts_with(expected), "{status}: {told}");
        assert!(status == 413 || told.contains("because"), "{told}");
    }
}

#[tokio::test]
async fn lines_that_lokis_otlp_refuses_are_counted_by_its_reasons() {
    let text = "2 errors like: entry for stream '{}' has timestamp too old: 2020";
    let server = Server::start(move |_| answer(400, text)).await;
    let answer = exporter(&server, "endpoint: SERVER/otlp").export(logs(5)).await.unwrap();
    assert_eq!(answer.refused, [("greater_than_max_sample_age", 2)]);
}

#[tokio::test]
async fn records_arrive_as_they_are() {
    let server = Server::start(|_| answer(200, "")).await;
    exporter(&server, "endpoint: SERVER, compression: none").export(logs(1)).await.unwrap();
    let body = server.requests().pop().unwrap().body;
    let sent = ExportLogsServiceRequest::decode(&*body).unwrap();
    let record = &sent.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.time_unix_nano, 1);
    assert_eq!(format!("{:?}", record.body).matches("line").count(), 1);
}

#[test]
fn endpoints_are_checked_before_anything_runs() {
    for (keys, expected) in [
        ("", "has neither endpoint nor traces_endpoint, and the pipeline traces sends it traces"),
        ("traces_endpoint: 'http://h/t'", "logs_endpoint"),
        ("endpoint: 'h:4318'", "where a URL such as"),
        ("endpoint: 'http://me:secret@h:4318'", "without a user in it"),
        ("endpoint: 'http://h', traces_endpoint: 'https://h/t'", "some endpoints begin with https"),
        ("endpoint: 'http://h', compression: zstd", "where gzip, none is expected"),
        ("endpoint: 'http://h', compression_params: {level: 12}", "from 1 (quick) to 9"),
        ("endpoint: 'http://h', compression: none, compression_params: {level: 1}", "gzip only"),
        ("endpoint: 'http://h', headers: {'a b': c}", "cannot be sent"),
        ("endpoint: 'http://h', sending_queue: {enabled: false}", "enabled must be true"),
        ("endpoint: 'http://h', sending_queue: {queue_size: 0}", "a whole number from 1"),
        ("endpoint: 'http://h', sending_queue: {storage: file_storage}", "not a key"),
        ("endpoint: 'http://h', retry_on_failure: {multiplier: 0.5}", "a number from 1"),
        ("endpoint: 'http://h', retry_on_failure: {randomization_factor: 2}", "from 0 to 1"),
    ] {
        let told = configured(keys).unwrap_err();
        assert!(told.contains(expected), "{keys}: {told}");
    }
    let settings =
        configured("traces_endpoint: 'http://h/t', logs_endpoint: 'http://h/l'").unwrap();
    assert_eq!(settings.url(Signal::Metrics), None);
}

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use prost::Message;

use super::*;
use crate::config::{Config, Exporter as Configured};
use crate::export::testing::{self, Server, answer};
use crate::record::{Resource, text_attribute};

/// Lines of one stream.
fn lines(pod: &str, lines: &[&str]) -> LogBatch {
    let attributes = [("pod", pod), ("loki.resource.labels", "pod"), ("loki.format", "raw")];
    let attributes = attributes.map(|(key, value)| text_attribute(key, value)).to_vec();
    LogBatch { resource: Arc::new(Resource { attributes }), ..testing::lines(lines) }
}

fn exporter(server: &Server, keys: &str) -> Loki {
    let yaml = format!(
        "receivers: {{otlp: {{protocols: {{grpc: }}}}}}\n\
         exporters: {{loki: {{endpoint: 'http://{}/loki/api/v1/push', {keys}}}}}\n\
         service: {{pipelines: {{logs: {{receivers: [otlp], exporters: [loki]}}}}}}",
        server.address
    );
    let config = Config::from_yaml(&yaml, "test", &std::collections::HashMap::new()).unwrap();
    let Configured::Loki(settings) = &config.exporters[0].settings else { panic!("{config:?}") };
    Loki::new(settings, None).unwrap()
}

async fn deliver(exporter: &Loki, batches: Vec<LogBatch>) -> Answer {
    exporter.export(Arc::new(Batch::Logs(batches))).await.unwrap()
}

/// The lines of a push.
fn pushed(body: &[u8]) -> (String, Vec<String>) {
    let body = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let mut request = PushRequest::decode(&*body).unwrap();
    assert_eq!(request.streams.len(), 1, "of other streams Loki would not tell what it refuses");
    let stream = request.streams.remove(0);
    (stream.labels, stream.entries.into_iter().map(|entry| entry.line).collect())
}

#[tokio::test]
async fn each_stream_is_pushed_in_snappy_with_its_tenant_and_the_headers() {
    let server = Server::start(|_| answer(204, "")).await;
    let exporter = exporter(&server, "headers: {X-Scope-OrgID: all, x-own: '1'}");
    let mut of_tenant = lines("b", &["3"]);
    let mut attributes = of_tenant.resource.attributes.clone();
    attributes.push(text_attribute("loki.tenant", "pod"));
    of_tenant.resource = Arc::new(Resource { attributes });
    let answer = deliver(&exporter, vec![lines("a", &["1", "2"]), of_tenant]).await;
    assert!(answer.refused.is_empty() && answer.rest.is_none(), "{answer:?}");
    let mut requests = server.requests();
    requests.sort_by_key(|request| pushed(&request.body));
    let tenants: Vec<_> =
        requests.iter().map(|request| &request.headers["x-scope-orgid"]).collect();
    assert_eq!(tenants, ["all", "b"]);
    for request in &requests {
        assert_eq!(request.path, "/loki/api/v1/push");
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        assert_eq!(request.headers["x-own"], "1");
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("spanline-agent/"));
    }
    let expected =
        (r#"{exporter="OTLP", pod="a"}"#.to_owned(), vec!["1".to_owned(), "2".to_owned()]);
    assert_eq!(pushed(&requests[0].body), expected);
}

#[tokio::test]
async fn what_loki_refuses_is_counted_and_the_rest_has_arrived() {
    let old = "entry for stream '{}' has timestamp too old: 2020-01-01T00:00:00Z";
    for (status, text, reason, count) in [
        (400, format!("2 errors like: {old}"), "greater_than_max_sample_age", 2),
        (400, "what is this".to_owned(), "refused", 3),
        (404, "not found".to_owned(), "refused", 3),
        (302, String::new(), "refused", 3),
        (260, "blocked".to_owned(), "blocked_ingestion", 3),
        (429, "maximum active stream limit exceeded when".to_owned(), "stream_limit", 3),
    ] {
        let server = Server::start(move |_| answer(status, &text)).await;
        let batches = vec![lines("a", &["1", "2", "3"])];
        let answer = deliver(&exporter(&server, ""), batches).await;
        assert_eq!(answer.refused, [(reason, count)], "{status}");
        assert!(answer.told.contains(&status.to_string()), "{}", answer.told);
        assert!(answer.rest.is_none(), "{status}");
    }
}

#[tokio::test]
async fn what_loki_may_take_later_is_kept_and_nothing_else() {
    for (status, is_denied) in [(429, false), (500, false), (503, false), (401, true), (403, true)]
    {
        let server =
            Server::start(move |request| match pushed(&request.body).0.contains("\"bad\"") {
                true => answer(status, "Per stream rate limit exceeded").with("retry-after", "3"),
                false => answer(204, ""),
            });
        let server = server.await;
        let exporter = exporter(&server, "");
        // One after the other, so that the first is taken before the second is not.
        let taken = deliver(&exporter, vec![lines("good", &["1", "2"])]).await;
        assert!(taken.rest.is_none());
        let batches = vec![lines("good", &["1"]), lines("bad", &["3", "4"])];
        let rest = deliver(&exporter, batches).await.rest.unwrap();
        assert!(rest.batch.items() <= 3 && rest.batch.items() >= 2, "{:?}", rest.batch);
        assert!(rest.error.is_retryable());
        let is_as_said = match &rest.error {
            ExportError::Busy { after, .. } => !is_denied && after.as_secs() == 3,
            ExportError::Denied(why) => is_denied && why.contains("check auth"),
            _ => false,
        };
        assert!(is_as_said, "{status}: {}", rest.error);
    }
}

#[tokio::test]
async fn a_push_that_is_too_large_is_halved_until_it_fits() {
    let server = Server::start(|request| {
        let lines = pushed(&request.body).1;
        let fits = lines.len() <= 2 && !lines.iter().any(|line| line == "huge");
        answer(if fits { 204 } else { 413 }, "")
    });
    let server = server.await;
    let batch = lines("a", &["1", "2", "huge", "3", "4", "5"]);
    let answer = deliver(&exporter(&server, ""), vec![batch]).await;
    assert_eq!(answer.refused, [("too_large", 1)]);
    assert!(answer.rest.is_none());
    let taken: Vec<_> = server.requests().iter().map(|request| pushed(&request.body).1).collect();
    let taken = taken.into_iter().filter(|lines| lines.len() <= 2 && lines != &["huge"]);
    let taken: Vec<String> = taken.flatten().filter(|line| line != "huge").collect();
    for line in ["1", "2", "3", "4", "5"] {
        assert!(taken.iter().any(|taken| taken == line), "{line} of {taken:?}");
    }
}

#[tokio::test]
async fn a_push_is_no_larger_than_lokis_parts_can_pass_on() {
    let server = Server::start(|_| answer(204, "")).await;
    let line = "x".repeat(400 * 1024);
    deliver(&exporter(&server, ""), vec![lines("a", &[&line, &line, &line, &line, &line])]).await;
    let counts: Vec<_> =
        server.requests().iter().map(|request| pushed(&request.body).1.len()).collect();
    assert_eq!(counts, [2, 2, 1]);
}

#[tokio::test]
async fn once_loki_is_away_the_other_streams_wait_without_being_tried() {
    let server = Server::start(|_| answer(503, "starting")).await;
    let pods: Vec<_> = (0..100).map(|n| lines(&format!("pod-{n}"), &["1"])).collect();
    let answer = deliver(&exporter(&server, ""), pods).await;
    assert_eq!(answer.rest.unwrap().batch.items(), 100);
    assert!(server.requests().len() <= MAX_PUSHES, "{}", server.requests().len());
}

#[tokio::test]
async fn a_loki_that_hangs_resets_or_talks_without_end_is_tried_again() {
    let script = Mutex::new(VecDeque::from([
        answer(204, "").hanging(),
        answer(204, "").resetting(),
        answer(503, "x".repeat(64 << 20)),
    ]));
    let server = Server::start(move |_| script.lock().unwrap().pop_front().unwrap()).await;
    let exporter = exporter(&server, "timeout: 500ms");
    for expected in ["no answer within", "", "503"] {
        let batches = vec![lines("a", &["1"])];
        let began = std::time::Instant::now();
        let rest = deliver(&exporter, batches).await.rest.unwrap();
        assert!(rest.error.to_string().contains(expected), "{}", rest.error);
        assert!(rest.error.is_retryable() && rest.error.to_string().len() < 1_000);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

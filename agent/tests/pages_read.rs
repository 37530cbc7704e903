//! The pages show what the store holds, lead from a line to its trace and back, and let nothing
//! that telemetry says become markup.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body as HttpBody;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use spanline_agent::record::{
    Batch, Body, LogBatch, LogRecord, Resource, SpanBatch, SpanId, TraceId, text_attribute,
};
use spanline_agent::self_metrics::SelfMetrics;
use spanline_agent::store::{Config, Store};
use spanline_agent::web;
use tower::ServiceExt;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// Markup in every place where a page could take it for its own.
const HOSTILE: &str = "</title></td><script>alert(1)</script><img src=x onerror='a()'>\"&amp;";
const MILLI: u64 = 1_000_000;
const START: u64 = 1_795_530_400_000 * MILLI;

/// A store in a folder of its own, and its pages.
struct Pages {
    store: Store,
    _folder: tempfile::TempDir,
}

/// What a browser gets.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Pages {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new(folder.path());
        config.max_bytes = 128 * 1024 * 1024;
        let store = Store::open(config, Arc::new(SelfMetrics::new())).unwrap();
        Self { store, _folder: folder }
    }

    async fn with_lines(self, service: &str, records: Vec<LogRecord>) -> Self {
        let attributes =
            ["k8s.container.name", "k8s.pod.name"].map(|key| text_attribute(key, service));
        let resource = Arc::new(Resource { attributes: attributes.to_vec() });
        let batch = LogBatch { resource, scope: None, records };
        self.store.write(Arc::new(Batch::Logs(vec![batch]))).await.unwrap();
        self
    }

    async fn with_spans(self, service: &str, spans: Vec<Span>) -> Self {
        let attributes = vec![text_attribute("service.name", service)];
        let batch = ResourceSpans {
            resource: Some(OtlpResource { attributes, ..OtlpResource::default() }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            schema_url: String::new(),
        };
        let batch = SpanBatch { resource_spans: vec![batch] };
        self.store.write(Arc::new(Batch::Spans(batch))).await.unwrap();
        self
    }

    async fn get(&self, path: &str) -> Answer {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9880));
        let request = Request::get(path).header(header::HOST, address.to_string());
        let request = request.body(HttpBody::empty()).unwrap();
        let response =
            web::router(self.store.clone(), address).oneshot(request).await.expect("infallible");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }
}

impl Answer {
    fn count(&self, part: &str) -> usize {
        self.text.matches(part).count()
    }

    #[track_caller]
    fn has(&self, part: &str) {
        assert!(self.text.contains(part), "no {part:?} in\n{}", self.text);
    }

    /// The addresses that links lead to, as a browser reads them.
    fn links(&self) -> Vec<String> {
        let parts = self.text.split("href=\"").skip(1);
        parts.filter_map(|rest| Some(rest.split_once('"')?.0.replace("&#38;", "&"))).collect()
    }
}

fn record(at_milli: u64, severity_number: i32, text: &str, span: Option<u8>) -> LogRecord {
    LogRecord {
        time_unix_nano: START + at_milli * MILLI,
        observed_time_unix_nano: 0,
        severity_number,
        severity_text: String::new(),
        body: Body::Text(text.to_owned().into()),
        attributes: Vec::new(),
        trace_id: span.and(TraceId::from_hex(TRACE.as_bytes())),
        span_id: span.and_then(|id| SpanId::from_bytes(&[id; 8])),
        flags: 1,
    }
}

fn span(id: u8, parent: u8, name: &str, from_milli: u64, to_milli: u64) -> Span {
    Span {
        trace_id: TraceId::from_hex(TRACE.as_bytes()).unwrap().as_bytes().to_vec(),
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        start_time_unix_nano: START + from_milli * MILLI,
        end_time_unix_nano: START + to_milli * MILLI,
        ..Span::default()
    }
}

#[tokio::test]
async fn a_line_is_a_row_that_links_to_its_trace() {
    let lines = vec![record(5, 17, "went wrong", Some(1)), record(6, 9, "later, no trace", None)];
    let page = Pages::new().with_lines("api-node", lines).await.get("/").await;
    assert_eq!((page.status, page.count("<tbody>")), (StatusCode::OK, 1));
    assert_eq!(page.count("<tr class="), 2);
    assert!(page.text.find("later, no trace") < page.text.find("went wrong"), "newest first");
    page.has("<tr class=\"error\">");
    page.has("datetime=\"2026-11-24T14:26:40.005000000Z\"");
    page.has("<td class=\"service\">api-node</td>");
    assert_eq!(page.count("href=\"/trace/"), 1);
    page.has(&format!("href=\"/trace/{TRACE}\""));
}

#[tokio::test]
async fn a_search_shows_what_matches_and_keeps_its_fields() {
    let pages = Pages::new().with_lines("a", vec![record(1, 9, "Hello moon", Some(1))]).await;
    let pages = pages.with_lines("b", vec![record(2, 9, "hello sun", None)]).await;
    let by_text = pages.get("/?q=MOON").await;
    assert_eq!(by_text.count("<tr class="), 1);
    by_text.has("<input type=\"search\" name=\"q\" value=\"MOON\"");
    by_text.has("Hello <mark>moon</mark>");
    let by_service = pages.get("/?service=b").await;
    assert_eq!(by_service.count("<tr class="), 1);
    by_service.has("<option value=\"b\" selected>");
    let by_trace = pages.get(&format!("/?trace_id={TRACE}")).await;
    assert_eq!(by_trace.count("<tr class="), 1);
    let by_both = pages.get("/?q=hello&service=").await;
    assert_eq!(by_both.count("<tr class="), 2);
    pages.get("/?q=venus").await.has("No line matches");
    let refused = pages.get("/?trace_id=0af7").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    refused.has("A trace id has 32 hex digits");
    assert_eq!(refused.count("<tr class="), 0);
}

#[tokio::test]
async fn older_pages_follow_by_links_and_keep_the_search() {
    let lines = (0..250).map(|n| record(n, 9, &format!("a&b line {n};"), None)).collect();
    let pages = Pages::new().with_lines("api", lines).await;
    let mut address = "/?q=a%26b&service=api".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = pages.get(&address).await;
        sizes.push(page.count("<tr class="));
        let Some(older) = page.links().into_iter().find(|link| link.contains("before=")) else {
            page.has("« Newest");
            break;
        };
        assert!(older.starts_with("/?q=a%26b&service=api&before="), "{older}");
        assert_eq!(page.text.contains("id=\"live\""), sizes.len() == 1, "live is for the newest");
        address = older;
    }
    assert_eq!(sizes, [100, 100, 50]);
}

#[tokio::test]
async fn an_empty_store_says_where_lines_come_from() {
    let page = Pages::new().get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    page.has("No lines yet");
    page.has("/var/log/pods");
}

#[tokio::test]
async fn a_trace_is_a_waterfall_with_its_lines_at_their_times() {
    let mut failed = span(3, 2, "query", 40, 60);
    failed.status = Some(Status { message: "refused".to_owned(), code: 2 });
    failed.attributes = vec![text_attribute("db.system", "sqlite")];
    let pages = Pages::new()
        .with_spans("api-python", vec![failed, span(2, 1, "GET /", 25, 75)])
        .await
        .with_spans("api-node", vec![span(1, 0, "GET /something", 0, 100)])
        .await
        .with_lines("api-python", vec![record(50, 9, "hello world!", Some(3))])
        .await
        .with_lines("api-node", vec![record(10, 9, "calling", Some(1))])
        .await;
    let page = pages.get(&format!("/trace/{TRACE}")).await;
    assert_eq!(page.status, StatusCode::OK);
    page.has("<h1>GET /something</h1>");
    assert_eq!(page.count("<rect "), 3);
    let at = |part: &str| page.text.find(part).unwrap_or_else(|| panic!("no {part:?}"));
    assert!(at("id=\"span-0101010101010101\"") < at("id=\"span-0202020202020202\""));
    assert!(at("id=\"span-0202020202020202\"") < at("id=\"span-0303030303030303\""));
    page.has("<rect x=\"25.000%\" y=\"6\" width=\"50.000%\"");
    page.has("<circle class=\"mark info\" cx=\"50.000%\"");
    page.has("Failed: refused");
    page.has("<dt>db.system</dt><dd>sqlite</dd>");
    assert!(at(">+10.0 ms</time>") < at(">+50.0 ms</time>"), "lines in order of time");
    page.has("<a href=\"#span-0303030303030303\">query</a>");
    assert!(page.links().contains(&format!("/?trace_id={TRACE}")), "{:?}", page.links());
}

#[tokio::test]
async fn lines_of_a_trace_stand_where_they_were_logged_however_late_they_were_written() {
    let python = "2026-11-24 14:26:40,050 INFO [app] [app.py:1] - hello world!";
    let node = "[INFO] api-python answered {\"timestamp\":\"2026-11-24T14:26:40.080Z\"}";
    let pages = Pages::new()
        .with_spans("api-node", vec![span(1, 0, "GET /something", 0, 100)])
        .await
        .with_spans("api-python", vec![span(2, 1, "GET /", 25, 75)])
        .await
        .with_lines("api-node", vec![record(180, 9, node, Some(1))])
        .await
        .with_lines("api-python", vec![record(230, 9, python, Some(2))])
        .await;
    let page = pages.get(&format!("/trace/{TRACE}")).await;
    let at = |part: &str| page.text.find(part).unwrap_or_else(|| panic!("no {part:?}"));
    assert!(at(">+51.0 ms</time>") < at(">+81.0 ms</time>"), "in order of their own times");
    page.has("datetime=\"2026-11-24T14:26:40.050999999Z\"");
    page.has("<circle class=\"mark info\" cx=\"51.000%\"");
    page.has("<circle class=\"mark info\" cx=\"81.000%\"");
}

#[tokio::test]
async fn a_trace_that_is_not_here_says_why_and_where_its_lines_are() {
    let pages = Pages::new().with_lines("a", vec![record(1, 9, "early", Some(1))]).await;
    let page = pages.get(&format!("/trace/{TRACE}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has("Spans arrive about a second after their request");
    let lines = format!("/?trace_id={TRACE}");
    assert!(page.links().contains(&lines));
    assert_eq!(pages.get(&lines).await.count("<tr class="), 1);
    let page = pages.get("/trace/0af7").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.has("32 hex digits");
}

#[tokio::test]
async fn nothing_that_telemetry_says_becomes_markup() {
    let mut hostile = span(1, 0, HOSTILE, 0, 10);
    hostile.attributes = vec![text_attribute(HOSTILE, HOSTILE)];
    hostile.status = Some(Status { message: HOSTILE.to_owned(), code: 2 });
    let pages = Pages::new()
        .with_spans(HOSTILE, vec![hostile])
        .await
        .with_lines(HOSTILE, vec![record(1, 9, HOSTILE, Some(1))])
        .await;
    let encoded = "%3C%2Ftitle%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%3Cimg%20onerror%3D%27%22";
    let addresses = [
        "/".to_owned(),
        format!("/trace/{TRACE}"),
        format!("/?q={encoded}&service={encoded}&trace_id={encoded}"),
        format!("/?q={encoded}&service={encoded}"),
        format!("/trace/{encoded}"),
    ];
    for address in addresses {
        let page = pages.get(&address).await;
        assert_eq!(page.count("<script"), page.count("<script src=\"/assets/"), "{address}");
        assert_eq!(page.count("<img"), 0, "{address}");
        assert_eq!(page.count("</title></td>"), 0, "{address}");
        assert_eq!(page.count("\"&amp;") + page.count("'a()'"), 0, "{address}: a quote is raw");
        assert_eq!(page.count(" style=") + page.count("javascript:"), 0, "{address}");
    }
    pages.get("/").await.has("alert(1)");
    pages.get(&format!("/trace/{TRACE}")).await.has("alert(1)");
}

#[tokio::test]
async fn a_huge_trace_is_cut_to_what_a_page_can_carry_and_says_so() {
    let spans = (0..1_500_u64).map(|n| {
        let mut span = span(1, 0, "work", n, n + 1);
        span.span_id = (n + 1).to_be_bytes().to_vec();
        span.attributes = vec![text_attribute("payload", "<".repeat(3_000))];
        span
    });
    let pages = Pages::new().with_spans("api", spans.collect()).await;
    let page = pages.get(&format!("/trace/{TRACE}")).await;
    assert_eq!(page.count("<rect "), 1_000);
    page.has("larger than a page");
    assert!(page.text.len() < 16 * 1024 * 1024, "{} bytes", page.text.len());
}

#[tokio::test]
async fn what_a_page_loads_is_served_and_may_be_kept() {
    let pages = Pages::new();
    let page = pages.get("/").await;
    let loaded: Vec<_> = page
        .text
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .map(str::to_owned)
        .collect();
    assert_eq!(loaded.len(), 3, "{loaded:?}");
    for address in &loaded {
        let asset = pages.get(address).await;
        assert_eq!(asset.status, StatusCode::OK, "{address}");
        let kind = asset.headers[header::CONTENT_TYPE].to_str().unwrap();
        let expected = ["text/css", "text/javascript", "image/svg+xml"];
        assert!(expected.iter().any(|expected| kind.starts_with(expected)), "{address}: {kind}");
        assert!(asset.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let (path, _) = address.split_once('?').unwrap();
        assert_eq!(pages.get(path).await.headers[header::CACHE_CONTROL], "no-cache");
    }
    assert_eq!(pages.get("/assets/none.js").await.status, StatusCode::NOT_FOUND);
    assert_eq!(pages.get("/assets/..%2Fpage.css").await.status, StatusCode::NOT_FOUND);
}

//! One request is one trace over both services.

use spanline_demo::launcher::Role;
use spanline_tests::{Chain, Span, eventually, program};

#[tokio::test]
async fn one_request_is_one_trace_over_both_services() {
    let mut chain = Chain::start(program!()).await.unwrap();
    let answer = chain.demo().request().await.unwrap();
    assert_eq!(answer.text, "Hello From Python App!");

    let api = chain.read_api();
    let spans = eventually("the trace has three spans", async || {
        let spans = api.trace(&answer.trace_id).await?;
        if spans.len() == 3 { Ok(spans) } else { Err(format!("{spans:#?}")) }
    })
    .await;

    let [server] = &of(&spans, Role::Node, "SERVER")[..] else { panic!("{spans:#?}") };
    let [client] = &of(&spans, Role::Node, "CLIENT")[..] else { panic!("{spans:#?}") };
    let [python] = &of(&spans, Role::Python, "SERVER")[..] else { panic!("{spans:#?}") };
    assert_eq!(server.parent, "", "nobody asked with a trace of their own");
    assert_eq!(client.parent, server.id);
    assert_eq!(python.parent, client.id);
    assert_eq!((&*server.name, &*client.name, &*python.name), ("GET /something", "GET", "GET /"));
    assert!(spans.iter().all(|span| !span.failed), "{spans:#?}");
}

fn of<'a>(spans: &'a [Span], service: Role, kind: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.service == service.name() && span.kind == kind).collect()
}

//! The service behind is away: the one in front says so, to its caller, in its log and in the trace.

use reqwest::StatusCode;
use spanline_demo::launcher::{LineIds, Role};
use spanline_tests::{Chain, eventually, get, program};

#[tokio::test]
async fn a_request_that_api_python_cannot_answer_is_a_502_an_error_line_and_an_error_span() {
    let mut chain = Chain::prepare(program!()).unwrap();
    chain.start_one(Role::Agent).await.unwrap();
    chain.start_one(Role::Node).await.unwrap();

    let (status, text) = get(&chain.demo().something_url(), &[]).await.unwrap();
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(text, "api-python gave no answer\n");

    let node = chain.pod_log(Role::Node).unwrap();
    let (line, ids) = eventually("an error line with ids is written", async || {
        let lines = node.lines()?;
        let found = lines.iter().find_map(|(_, line)| {
            Some((line.clone(), LineIds::of(line).filter(|_| line.starts_with("[ERROR] "))?))
        });
        found.ok_or_else(|| format!("{lines:#?}"))
    })
    .await;
    assert!(line.contains("api-python gave no answer"), "{line}");

    let api = chain.read_api();
    eventually(
        "its span, and that of the request to api-python, say that they failed",
        async || {
            let spans = api.trace(&ids.trace_id).await?;
            let failed = |kind: &str| spans.iter().any(|span| span.failed && span.kind == kind);
            let of_the_line = spans.iter().any(|span| span.failed && span.id == ids.span_id);
            if of_the_line && failed("SERVER") && failed("CLIENT") {
                return Ok(());
            }
            Err(format!("{spans:#?}"))
        },
    )
    .await;
}

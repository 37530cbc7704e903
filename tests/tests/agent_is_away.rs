//! The services need no agent to answer, and hand over what they have when it comes.

use spanline_demo::launcher::{LineIds, Role};
use spanline_tests::{Chain, eventually, program};

#[tokio::test]
async fn a_request_without_an_agent_is_answered_and_its_spans_arrive_when_the_agent_does() {
    let mut chain = Chain::prepare(program!()).unwrap();
    chain.start_one(Role::Python).await.unwrap();
    chain.start_one(Role::Node).await.unwrap();
    let answer = chain.demo().request().await.unwrap();
    assert_eq!(answer.text, "Hello From Python App!");

    chain.start_one(Role::Agent).await.unwrap();
    let api = chain.read_api();
    eventually("the trace of the time before the agent is whole", async || {
        let spans = api.trace(&answer.trace_id).await?;
        if spans.len() == 3 { Ok(()) } else { Err(format!("{spans:#?}")) }
    })
    .await;
    eventually("so are its lines", async || {
        let lines =
            api.lines(&format!("{{namespace=\"default\"}} |= \"{}\"", answer.trace_id)).await?;
        let of =
            |service: Role| lines.iter().any(|line| line.labels["container"] == service.name());
        if of(Role::Node) && of(Role::Python) { Ok(()) } else { Err(format!("{lines:#?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_goes_and_comes_back_gets_the_spans_of_the_time_between() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.demo().stop_one(Role::Agent).await;
    chain.send(1).await.unwrap();
    let node = chain.pod_log(Role::Node).unwrap();
    let LineIds { trace_id, .. } = eventually("its line is written", async || {
        node.ids()?.pop().ok_or_else(|| "no line with ids".to_owned())
    })
    .await;

    chain.start_one(Role::Agent).await.unwrap();
    let api = chain.read_api();
    eventually("the trace is whole", async || {
        let spans = api.trace(&trace_id).await?;
        if spans.len() == 3 { Ok(()) } else { Err(format!("{spans:#?}")) }
    })
    .await;
}

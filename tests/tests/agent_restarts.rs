//! The agent is restarted while the services run on.

use std::collections::BTreeSet;

use spanline_demo::launcher::Role;
use spanline_tests::{Chain, ReadApi, eventually, program};

/// Before, without and after the agent.
const REQUESTS: usize = 100;
const SPANS_PER_REQUEST: usize = 3;
const SERVICES: [Role; 2] = [Role::Node, Role::Python];

#[tokio::test]
async fn an_agent_that_is_restarted_loses_no_line_and_no_span_and_doubles_none() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.send(REQUESTS).await.unwrap();
    chain.demo().stop_one(Role::Agent).await;
    chain.send(REQUESTS).await.unwrap();
    chain.start_one(Role::Agent).await.unwrap();
    chain.send(REQUESTS).await.unwrap();
    for service in SERVICES {
        chain.demo().stop_one(service).await;
    }

    let api = chain.read_api();
    for service in SERVICES {
        let written = chain.pod_log(service).unwrap().sorted_texts().unwrap();
        eventually(&format!("every line of {} is there once", service.name()), async || {
            same(&written, &api.sorted_texts(service.name()).await?)
        })
        .await;
    }

    let printed = chain.pod_log(Role::Node).unwrap().ids().unwrap();
    let traces: BTreeSet<_> = printed.into_iter().map(|ids| ids.trace_id).collect();
    assert_eq!(traces.len(), 3 * REQUESTS);
    for trace in traces {
        whole(&api, &trace).await;
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_loses_no_line() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.send(REQUESTS).await.unwrap();
    chain.demo().kill_one(Role::Agent).await;
    chain.send(REQUESTS).await.unwrap();
    chain.start_one(Role::Agent).await.unwrap();
    for service in SERVICES {
        chain.demo().stop_one(service).await;
    }

    let api = chain.read_api();
    for service in SERVICES {
        let written: BTreeSet<_> =
            chain.pod_log(service).unwrap().sorted_texts().unwrap().into_iter().collect();
        eventually(&format!("every line of {} is there", service.name()), async || {
            let kept = api.sorted_texts(service.name()).await?.into_iter().collect();
            let missing = written.difference(&kept).count();
            if missing == 0 { Ok(()) } else { Err(format!("{missing} lines are missing")) }
        })
        .await;
    }
}

async fn whole(api: &ReadApi, trace: &str) {
    eventually(&format!("trace {trace} has every span once"), async || {
        let spans = api.trace(trace).await?;
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
        if (spans.len(), ids.len()) == (SPANS_PER_REQUEST, SPANS_PER_REQUEST) {
            return Ok(());
        }
        Err(format!("{spans:#?}"))
    })
    .await;
}

/// Both are sorted; says how they differ.
fn same(written: &[String], kept: &[String]) -> Result<(), String> {
    if written == kept {
        return Ok(());
    }
    let differs = written.iter().zip(kept).find(|(written, kept)| written != kept);
    Err(format!("{} of {} lines; first difference: {differs:?}", kept.len(), written.len()))
}

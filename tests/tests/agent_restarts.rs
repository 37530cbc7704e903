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

    everything_is_there_once(&chain).await;
    // What was on its way is written by now, and a line that is read a second time would show.
    chain.demo().stop_one(Role::Agent).await;
    chain.start_one(Role::Agent).await.unwrap();
    everything_is_there_once(&chain).await;
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

async fn everything_is_there_once(chain: &Chain) {
    let api = chain.read_api();
    for service in SERVICES {
        eventually(&format!("every line of {} is there once", service.name()), async || {
            let written = chain.pod_log(service)?.sorted_texts()?;
            same(&written, &api.sorted_texts(service.name()).await?)
        })
        .await;
    }

    let traces = eventually("every request's trace was printed", async || {
        let printed = chain.pod_log(Role::Node)?.ids()?;
        let traces: BTreeSet<_> = printed.into_iter().map(|ids| ids.trace_id).collect();
        if traces.len() == 3 * REQUESTS { Ok(traces) } else { Err(traces.len().to_string()) }
    })
    .await;
    for trace in traces {
        whole(&api, &trace).await;
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

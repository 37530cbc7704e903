//! Every id that a service prints leads somewhere.

use std::collections::BTreeSet;

use spanline_demo::launcher::Role;
use spanline_tests::{Chain, eventually, program};

const REQUESTS: usize = 50;

#[tokio::test]
async fn every_printed_id_is_that_of_an_exported_span_of_the_service_that_printed_it() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.send(REQUESTS).await.unwrap();
    // Both flush; nothing is written any more.
    chain.demo().stop_one(Role::Node).await;
    chain.demo().stop_one(Role::Python).await;

    let api = chain.read_api();
    for service in [Role::Node, Role::Python] {
        let printed = chain.pod_log(service).unwrap().ids().unwrap();
        let traces: BTreeSet<_> = printed.iter().map(|ids| ids.trace_id.clone()).collect();
        assert_eq!(traces.len(), REQUESTS, "{} names each request's trace", service.name());
        for ids in printed {
            eventually(&format!("{} has its span {ids:?}", service.name()), async || {
                let spans = api.trace(&ids.trace_id).await?;
                let ours = |id: &str| id == ids.span_id;
                if spans.iter().any(|span| ours(&span.id) && span.service == service.name()) {
                    return Ok(());
                }
                Err(format!("{spans:#?}"))
            })
            .await;
        }
    }
}

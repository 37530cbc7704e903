//! A probe comes every few seconds for ever: it must cost nobody a line or a span.

use spanline_demo::launcher::Role;
use spanline_tests::{Chain, get, program};

const PROBES: usize = 20;

#[tokio::test]
async fn a_probe_is_answered_and_neither_logged_nor_traced() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.send(1).await.unwrap();
    let ports = chain.demo().ports().clone();
    for (service, port) in [(Role::Node, ports.api_node), (Role::Python, ports.api_python)] {
        let before = chain.pod_log(service).unwrap().lines().unwrap().len();
        for _ in 0..PROBES {
            let url = format!("http://127.0.0.1:{port}/healthz");
            assert!(get(&url, &[]).await.unwrap().0.is_success());
        }
        // It writes what it has before it ends.
        chain.demo().stop_one(service).await;
        let after = chain.pod_log(service).unwrap().lines().unwrap();
        assert!(after.len() < before + PROBES, "{after:#?}");
        assert!(after.iter().all(|(_, line)| !line.contains("healthz")), "{after:#?}");
    }

    // It keeps what it was sent before it ends.
    chain.demo().stop_one(Role::Agent).await;
    chain.start_one(Role::Agent).await.unwrap();
    let search = format!("{}/api/search", chain.demo().web_url());
    let (status, traces) = get(&search, &[("limit", "100")]).await.unwrap();
    assert!(status.is_success(), "{traces}");
    assert!(traces.contains("GET /something"), "{traces}");
    assert!(!traces.contains("healthz"), "{traces}");
}

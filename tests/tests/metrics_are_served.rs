//! The services' metrics are served to a scraper and pushed to the agent, which keeps them and serves them again.

use reqwest::StatusCode;
use serde_json::Value;
use spanline_tests::{Chain, eventually, get, program};

const COUNT: &str = "http_server_request_duration_seconds_count";

#[tokio::test]
async fn both_services_serve_metrics_that_carry_their_name() {
    let mut chain = Chain::start(program!()).await.unwrap();
    chain.demo().request().await.unwrap();
    let ports = chain.demo().ports().clone();
    for (service, port, path) in [
        ("api-node", ports.api_node_metrics, "/metrics"),
        ("api-node", ports.api_node, "/prometheus/metrics"),
        ("api-python", ports.api_python_metrics, "/metrics"),
    ] {
        let url = format!("http://127.0.0.1:{port}{path}");
        let label = format!("service=\"{service}\"");
        eventually(
            "the request is counted, and every series carries the service's name",
            async || {
                let (status, text) = get(&url, &[]).await?;
                let mut samples = text
                    .lines()
                    .filter(|line| !line.starts_with('#') && !line.starts_with("target_info"));
                let is_counted = text.contains(COUNT);
                let all_carry_it = samples.all(|line| line.contains(&label));
                if status == StatusCode::OK && is_counted && all_carry_it {
                    Ok(())
                } else {
                    Err(text)
                }
            },
        )
        .await;
    }
}

#[tokio::test]
async fn what_is_pushed_is_served_by_the_agent_and_kept_with_an_example_that_leads_to_its_trace() {
    let mut chain = Chain::start(program!()).await.unwrap();
    let answer = chain.demo().request().await.unwrap();
    let ports = chain.demo().ports().clone();
    let scraped = format!("http://127.0.0.1:{}/metrics", ports.prometheus);
    eventually("a scraper of the agent finds both services", async || {
        let (_, text) = get(&scraped, &[]).await?;
        let has = |job: &str| {
            let label = format!("job=\"{job}\"");
            text.lines().any(|line| line.starts_with(COUNT) && line.contains(&label))
        };
        if has("api-node") && has("api-python") { Ok(()) } else { Err(text) }
    })
    .await;

    let asked = format!("{}/api/v1/query_exemplars", chain.demo().web_url());
    let query = [("query", "http_server_request_duration_seconds_bucket{job=\"api-node\"}")];
    let trace_id = eventually("the read API has an example", async || {
        let (_, text) = get(&asked, &query).await?;
        let read: Value =
            serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let trace_id = &read["data"][0]["exemplars"][0]["labels"]["trace_id"];
        trace_id.as_str().map(str::to_owned).ok_or(text)
    })
    .await;
    assert_eq!(trace_id, answer.trace_id);
    let spans = chain.read_api().trace(&trace_id).await.unwrap();
    assert!(!spans.is_empty(), "its trace is in the agent's store");
}

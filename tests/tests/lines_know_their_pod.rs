//! A line in the read API says where it came from and which span it belongs to.

use spanline_demo::launcher::{LineIds, Role};
use spanline_tests::{Chain, eventually, program};

#[tokio::test]
async fn lines_reach_the_read_api_with_pod_namespace_and_container() {
    let mut chain = Chain::start(program!()).await.unwrap();
    let answer = chain.demo().request().await.unwrap();

    let api = chain.read_api();
    for (service, stream) in [(Role::Node, "stdout"), (Role::Python, "stderr")] {
        let pod = chain.pod_log(service).unwrap();
        let query = format!("{{container=\"{}\"}} |= \"{}\"", service.name(), answer.trace_id);
        let line = eventually("its line of the request is found", async || {
            let mut lines = api.lines(&query).await?;
            lines.pop().ok_or_else(|| "no line".to_owned())
        })
        .await;

        let filename = pod.path.to_str().unwrap();
        for (label, value) in [
            ("pod", &*pod.pod),
            ("namespace", &*pod.namespace),
            ("container", service.name()),
            ("service_name", service.name()),
            ("stream", stream),
            ("filename", filename),
        ] {
            assert_eq!(
                line.labels.get(label).map(String::as_str),
                Some(value),
                "{label}: {line:?}"
            );
        }
        let ids = LineIds::of(&line.text).unwrap();
        assert_eq!(line.labels["trace_id"], ids.trace_id);
        assert_eq!(line.labels["span_id"], ids.span_id);
        assert!(answer.lines.contains(&(service.name(), line.text.clone())), "{line:?}");
    }
}

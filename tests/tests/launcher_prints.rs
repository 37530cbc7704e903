//! What the launcher says, to a person and to a script.

use reqwest::StatusCode;
use spanline_demo::launcher::LineIds;
use spanline_tests::{Launcher, get, program};

#[tokio::test]
async fn once_ends_with_a_verdict_in_one_line_and_exit_code_0() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Launcher::start(program!(), folder.path(), ["--once"]).unwrap().ended().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(
        ended.stdout.lines().filter(|line| line.starts_with("ok: ")).count(),
        1,
        "{ended:?}"
    );
    assert_eq!(ended.stderr, "");
}

#[tokio::test]
async fn the_link_and_the_curl_that_it_prints_work_and_the_lines_are_those_of_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = Launcher::start(program!(), folder.path(), [] as [&str; 0]).unwrap();
    let printed = launcher.prints("Ctrl-C stops it").await;

    let link = after(&printed, "See it");
    let (status, page) = get(link, &[]).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("api-node") && page.contains("api-python"), "{page}");

    let answer = get(after(&printed, "Try it   curl"), &[]).await.unwrap();
    assert_eq!(answer, (StatusCode::OK, "Hello From Python App!".to_owned()));

    let traces: Vec<_> = printed.lines().filter_map(LineIds::of).map(|ids| ids.trace_id).collect();
    assert!(traces.len() >= 2, "{printed}");
    assert!(traces.iter().all(|trace| link.ends_with(trace)), "{printed}");
}

#[tokio::test]
async fn a_load_is_reported_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut launcher = Launcher::start(program!(), folder.path(), ["--load", "20"]).unwrap();
    let printed = launcher.prints("0 failed, 0 left out").await;
    assert!(printed.contains("requests sent"), "{printed}");
}

fn after<'a>(printed: &'a str, what: &str) -> &'a str {
    let line = printed.lines().find(|line| line.starts_with(what)).unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default()
}

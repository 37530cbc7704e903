//! What does not fit this machine is one clear line and exit code 2.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use spanline_tests::{Ended, Launcher, program};

#[tokio::test]
async fn a_taken_port_is_named_with_the_flag_that_moves_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = run(folder.path(), &["--web-port", &port]).await.unwrap();
    is_one_line_and_exit_code_2(&refused, &[&port, "--web-port"]);
    assert_eq!(refused.stdout, "", "nothing was started");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_with_the_flag_that_moves_it() {
    let folder = tempfile::tempdir().unwrap();
    // Below a file nobody can write, not even who may write everywhere.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = run(&file.join("demo"), &[]).await.unwrap();
    is_one_line_and_exit_code_2(&refused, &["file/demo", "--dir"]);
    assert_eq!(refused.stdout, "", "nothing was started");
}

#[tokio::test]
async fn a_second_demo_in_the_same_folder_is_refused_and_the_first_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Launcher::start(program!(), folder.path(), NOTHING).unwrap();
    first.prints("spanline-agent").await;
    let refused = run(folder.path(), &[]).await.unwrap();
    is_one_line_and_exit_code_2(&refused, &["another demo", "--dir"]);
    first.prints("Ctrl-C stops it").await;
}

const NOTHING: [&str; 0] = [];

async fn run(folder: &Path, args: &[&str]) -> io::Result<Ended> {
    Ok(Launcher::start(program!(), folder, args)?.ended().await)
}

fn is_one_line_and_exit_code_2(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(parts.iter().all(|part| ended.stderr.contains(part)), "{ended:?}");
}

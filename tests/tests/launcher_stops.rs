//! However the launcher ends, its three processes end with it.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use spanline_tests::{Launcher, eventually, program, runs};
use tempfile::TempDir;

/// What is promised; a supervisor kills after ten.
const STOPS_WITHIN: Duration = Duration::from_secs(6);

#[tokio::test]
async fn sigterm_and_sigint_stop_everything_in_time_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_folder, launcher, children) = started().await.unwrap();
        let began = Instant::now();
        launcher.signal(signal).unwrap();
        let ended = launcher.ended().await;
        assert!(began.elapsed() <= STOPS_WITHIN, "{:?} after {signal:?}", began.elapsed());
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "");
        assert!(ended.stdout.contains("stopped in"), "{ended:?}");
        assert!(!children.into_iter().any(runs));
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_launcher_that_is_killed_takes_its_processes_with_it() {
    let (_folder, launcher, children) = started().await.unwrap();
    launcher.signal(Signal::KILL).unwrap();
    launcher.ended().await;
    eventually("they are gone", async || {
        let left: Vec<_> = children.iter().filter(|&&child| runs(child)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} run")) }
    })
    .await;
}

#[tokio::test]
async fn a_process_that_dies_is_named_with_its_last_lines_and_the_others_are_stopped() {
    let (_folder, launcher, children) = started().await.unwrap();
    let [agent, python, node] = children[..] else { panic!("{children:?}") };
    kill_process(Pid::from_raw(python.cast_signed()).unwrap(), Signal::KILL).unwrap();
    let ended = launcher.ended().await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("api-python ended"), "{ended:?}");
    assert!(ended.stderr.contains("hello world!"), "{ended:?}");
    assert!(!runs(agent) && !runs(node));
}

/// A launcher whose demo runs, and the process ids of its roles.
async fn started() -> io::Result<(TempDir, Launcher, Vec<u32>)> {
    let folder = tempfile::tempdir()?;
    let mut launcher = Launcher::start(program!(), folder.path(), [] as [&str; 0])?;
    let printed = launcher.prints("Ctrl-C stops it").await;
    let children = Launcher::children(&printed);
    assert_eq!(children.len(), 3, "{printed}");
    assert!(children.iter().copied().all(runs));
    Ok((folder, launcher, children))
}

use std::os::unix::process::ExitStatusExt as _;

use super::*;

type Kept = (Stream, Vec<u8>);

/// Keeps entries in memory, or none at all.
#[derive(Clone, Default)]
struct Memory {
    kept: Arc<Mutex<Vec<Kept>>>,
    full: bool,
}

impl LineSink for Memory {
    fn line(&mut self, stream: Stream, _: Tag, text: &[u8]) {
        self.kept.lock().unwrap().push((stream, text.to_vec()));
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn shell(script: &str, sink: Memory) -> Child {
    let args = ["-c", script].map(OsString::from);
    Child::start(Path::new("/bin/sh"), args, [("GREETING", "hello".to_owned())], sink).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn end(child: &mut Child) -> ExitStatus {
    child.end_by(soon()).await;
    child.ended().unwrap().unwrap()
}

#[tokio::test]
async fn both_streams_are_kept_and_remembered() {
    let sink = Memory::default();
    let mut child = shell("echo $GREETING; echo no >&2; exit 3", sink.clone());
    assert_eq!(end(&mut child).await.code(), Some(3));

    let mut kept = sink.kept.lock().unwrap().clone();
    kept.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(kept, [(Stream::Stdout, b"hello".to_vec()), (Stream::Stderr, b"no".to_vec())]);
    let mut recent = child.written().recent();
    recent.sort();
    assert_eq!(recent, ["hello", "no"]);
}

#[tokio::test]
async fn only_the_latest_lines_are_remembered() {
    let mut child =
        shell("i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done", Memory::default());
    end(&mut child).await;
    let recent = child.written().recent();
    assert_eq!(recent.len(), MAX_RECENT_LINES);
    assert_eq!(recent.last().unwrap(), "199");
}

#[tokio::test]
async fn a_child_is_read_on_when_its_lines_cannot_be_kept_and_they_are_counted() {
    let sink = Memory { full: true, ..Memory::default() };
    // More than a pipe holds, so a reader that stopped would leave the child waiting for ever.
    let mut child = shell(
        "i=0; while [ $i -lt 3000 ]; do echo $i-----------------------------------------; i=$((i+1)); done",
        sink,
    );
    assert_eq!(end(&mut child).await.code(), Some(0));
    assert_eq!(child.written().unsaved().unwrap().lines, 3000);
}

#[tokio::test]
async fn a_child_that_does_not_stop_when_asked_is_killed_at_the_deadline() {
    let mut child = shell("trap '' TERM; echo ready; while :; do sleep 1; done", Memory::default());
    while child.written().recent().is_empty() {
        sleep(Duration::from_millis(5)).await;
    }
    child.terminate();
    child.end_by(Instant::now() + Duration::from_millis(100)).await;
    assert_eq!(child.ended().unwrap().unwrap().signal(), Some(Signal::KILL.as_raw()));
}

#[tokio::test]
async fn a_child_does_not_inherit_the_settings_of_the_shell_that_started_the_demo() {
    let mut child = shell("echo ${CARGO_PKG_NAME-unset}", Memory::default());
    end(&mut child).await;
    assert_eq!(child.written().recent(), ["unset"]);
}

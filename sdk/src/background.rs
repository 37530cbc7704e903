//! Work beside the service: on a thread of its own with a runtime of its own, so that it goes on beside a blocked
//! worker or with no runtime at all, and takes no time of a request.

use std::io;
use std::thread;

use opentelemetry::Context;

/// Starts a thread that does `work`. Telemetry is suppressed on it, or it would trace itself.
///
/// `until_over` is dropped when the thread has ended, however it came to that: whoever waits for it is then told.
/// Without a runtime the thread ends at once, and `for_want_of_a_runtime` says in a line what comes of it.
///
/// # Errors
/// The system has no thread for it.
pub(crate) fn start<F: Future<Output = ()>>(
    name: &str,
    for_want_of_a_runtime: &'static str,
    until_over: impl Send + 'static,
    work: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let _until_over = until_over;
        // Made here: a runtime must not be dropped inside another, where `init` may be called.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(work());
                // What still hangs in it is left behind.
                runtime.shutdown_background();
            }
            Err(error) => {
                tracing::warn!(target: "spanline", %error, "{for_want_of_a_runtime}");
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Longer than a thread takes to start on the slowest machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn whoever_waits_is_told_also_of_a_panic() {
        let (until_over, over) = mpsc::channel::<()>();
        start("spanline-test", "", until_over, || async { panic!("the work's own") }).unwrap();
        assert_eq!(over.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn the_work_has_a_runtime_and_is_not_traced() {
        let (tell, told) = mpsc::channel();
        let work = || async move {
            tokio::task::yield_now().await;
            let name = thread::current().name().map(str::to_owned);
            tell.send((name, Context::is_current_telemetry_suppressed())).unwrap();
        };
        start("spanline-test", "", (), work).unwrap();
        let expected = (Some("spanline-test".to_owned()), true);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(expected));
    }
}

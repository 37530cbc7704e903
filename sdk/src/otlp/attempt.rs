//! One try to send a request.

use std::time::Duration;

use bytes::Bytes;

use super::{Answer, Sender};

/// What became of a try.
pub(crate) enum Attempt {
    Answered(Answer),
    /// Nobody answered within the time.
    Unanswered,
    Panicked,
}

/// Sends once and waits so long for the answer. In a task of its own: a sender's panic ends that task, and its hang is
/// left behind.
pub(crate) async fn attempt(sender: &dyn Sender, request: Bytes, patience: Duration) -> Attempt {
    let mut task = tokio::spawn(sender.send(request));
    match tokio::time::timeout(patience, &mut task).await {
        Ok(Ok(answer)) => Attempt::Answered(answer),
        Ok(Err(_)) => Attempt::Panicked,
        Err(_) => {
            task.abort();
            Attempt::Unanswered
        }
    }
}

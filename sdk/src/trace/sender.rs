//! Carries an encoded batch to the receiver, and reports its answer whole.

mod grpc;
mod http;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::config::ExportConfig;
use crate::endpoint::OtlpProtocol;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest answer that is read; a longer one is judged by its status alone.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the receiver says to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took it, but for so many spans.
    Taken { rejected: u64, message: String },
    /// Not now; it may have said how long to wait.
    Later { wait: Option<Duration>, why: String },
    /// Never; the text says why.
    Refused { why: String },
}

/// The way to a receiver.
pub(super) trait Sender: Send + Sync + 'static {
    /// Sends an encoded `ExportTraceServiceRequest`.
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

/// The sender for a configuration. It connects with its first batch.
pub(super) fn connect(config: &ExportConfig) -> Box<dyn Sender> {
    match config.protocol {
        OtlpProtocol::HttpProtobuf => Box::new(http::Http::new(config)),
        OtlpProtocol::Grpc => Box::new(grpc::Grpc::new(config)),
    }
}

//! Carries an encoded request to its receiver, and reports the answer whole. What the request holds is
//! all the same to it.

mod attempt;
mod connect;
mod grpc;
mod http;
mod pause;
#[cfg(test)]
mod tests;
mod timed;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use crate::config::OtlpConfig;
use crate::endpoint::OtlpProtocol;
pub(crate) use attempt::{Attempt, attempt};
pub(crate) use pause::Pauses;
pub(crate) use timed::{BOUNDS as TIMING_BOUNDS, TimingReading, Timings, timed};

/// How the exporter names itself to the receiver.
const USER_AGENT: &str = concat!("spanline/", env!("CARGO_PKG_VERSION"));
/// The longest answer that is read; a longer one is judged by its status alone.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the receiver says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It took it, but for so many spans or data points.
    Taken { rejected: u64, message: String },
    /// Not now; it may have said how long to wait.
    Later { wait: Option<Duration>, why: String },
    /// Not now: one side does not trust the other. The text says why, and what helps.
    Distrusted { why: String },
    /// Never; the text says why.
    Refused { why: String },
}

/// The way to a receiver.
pub(crate) trait Sender: Send + Sync + 'static {
    /// Sends an encoded `ExportTraceServiceRequest`, or that of another signal.
    fn send(&self, request: Bytes) -> Pin<Box<dyn Future<Output = Answer> + Send>>;
}

/// The sender for a configuration. It connects with its first request.
pub(crate) fn connect(config: &OtlpConfig) -> Box<dyn Sender> {
    match config.protocol {
        OtlpProtocol::HttpProtobuf => Box::new(http::Http::new(config)),
        OtlpProtocol::Grpc => Box::new(grpc::Grpc::new(config)),
    }
}

impl Answer {
    /// What it means that there was none.
    fn none(distrust: &connect::Distrust, error: &dyn std::error::Error) -> Self {
        match distrust.take() {
            Some(why) => Self::Distrusted { why },
            None => Self::Later { wait: None, why: with_causes(error) },
        }
    }

    /// What it means that the receiver will never take the request, and what helps: another receiver, or what this one
    /// wants to be shown.
    fn refused(why: &str, is_denied: bool) -> Self {
        let remedy = if is_denied {
            "What it wants to be shown goes into OTEL_EXPORTER_OTLP_HEADERS, such as authorization=Bearer%20TOKEN"
        } else {
            "Does an OTLP receiver of this protocol listen there?"
        };
        Self::Refused { why: format!("{why}. {remedy}") }
    }

    /// Reads what a receiver says when it takes a request. What cannot be read rejects nothing.
    fn taken(response: Bytes) -> Self {
        let partial = Response::decode(response).unwrap_or_default().partial_success;
        let partial = partial.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected).unwrap_or(0);
        Self::Taken { rejected, message: partial.error_message }
    }
}

/// `ExportTraceServiceResponse`, `ExportMetricsServiceResponse`: field by field, they are the same.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// An error with what is behind it: "client error (Connect): tcp connect error: Connection refused".
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}

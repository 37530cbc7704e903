//! How an exchange went: its status, why it failed, what the answer weighed.

use http::StatusCode;
use opentelemetry::KeyValue;

use super::semconv;

/// What was known of an exchange in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// The answer's status, once there was one.
    pub(super) status: Option<StatusCode>,
    /// Why it failed, if it did.
    pub(super) error: Option<Error>,
    /// What the answer's body weighed, as far as it was handed over.
    pub(super) response_bytes: Option<u64>,
}

/// What an exchange failed with: one of a small set of words, as it is a dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// A status that is a failure on this side of the exchange.
    Status(StatusCode),
    /// A word for what happened.
    Other(&'static str),
}

impl Error {
    /// Whoever waited for the answer went away before it was complete.
    pub(super) const CANCELLED: Self = Self::Other("cancelled");
    pub(super) const PANIC: Self = Self::Other("panic");
    /// The stream of a body broke.
    pub(super) const BODY: Self = Self::Other("body");
    /// The conventions' word for an error that has no better name.
    pub(super) const OTHER: Self = Self::Other("_OTHER");

    pub(super) fn attribute(self) -> KeyValue {
        match self {
            Self::Status(status) => KeyValue::new(semconv::ERROR_TYPE, status.as_str().to_owned()),
            Self::Other(word) => KeyValue::new(semconv::ERROR_TYPE, word),
        }
    }
}

//! What the layers tell of a request, as far as it is measured.

use std::time::Duration;

use opentelemetry::KeyValue;

use crate::context::SpanIds;
use crate::metrics::polls::Polled;

/// What is known of a request from its beginning. No two of the words come from a stranger without a bound on
/// how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// A known method, or `_OTHER`.
    pub(crate) method: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// Whom a client asks. A server leaves it out: its callers choose the name.
    pub(crate) server: Option<(&'a str, Option<u16>)>,
    /// The template that matched; without one, all such requests are one series.
    pub(crate) route: Option<&'a str>,
}

/// What is known of a request at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: Option<u64>,
    pub(crate) response_bytes: Option<u64>,
    /// How it was polled, if that was watched.
    pub(crate) polled: Option<Polled>,
    /// The request's span.
    pub(crate) span: Option<SpanIds>,
}

/// How a request went, as far as it is a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<ErrorType>,
}

/// What a request failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorType {
    /// Its status.
    Status(u16),
    /// One of a small set of words.
    Word(&'static str),
}

impl Outcome {
    /// With the labels that a request has from its beginning.
    pub(super) fn labels(&self, asked: &[KeyValue]) -> Vec<KeyValue> {
        let mut labels = asked.to_vec();
        if let Some(status) = self.status {
            labels.push(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        match self.error {
            Some(ErrorType::Status(status)) => {
                labels.push(KeyValue::new("error.type", status.to_string()));
            }
            Some(ErrorType::Word(word)) => labels.push(KeyValue::new("error.type", word)),
            None => {}
        }
        labels
    }
}

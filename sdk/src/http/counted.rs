//! An exchange as the metrics see it: counted as active while it lives, observed once at its end.

use std::time::Instant;

use opentelemetry::trace::SpanContext;

use super::exchange::{Error, Facts};
use crate::context::SpanIds;
use crate::metrics::http::{Active, Begun, Ended, Recorder};

/// Dropped without an end, it has been active and is nothing else.
pub(super) struct Counted {
    recorder: &'static Recorder,
    _active: Active,
    begun: Begun<'static>,
    route: Option<&'static str>,
    request_bytes: Option<u64>,
    started: Instant,
}

impl Counted {
    pub(super) fn begin(
        recorder: &'static Recorder,
        begun: Begun<'static>,
        route: Option<&'static str>,
        request_bytes: Option<u64>,
    ) -> Self {
        let active = recorder.begin(&begun);
        Self { recorder, _active: active, begun, route, request_bytes, started: Instant::now() }
    }

    pub(super) fn end(self, facts: Facts, span: Option<&SpanContext>) {
        let error_status;
        let error_type = match facts.error {
            Some(Error::Status(status)) => {
                error_status = status;
                Some(error_status.as_str())
            }
            Some(Error::Other(word)) => Some(word),
            None => None,
        };
        self.recorder.end(&Ended {
            begun: self.begun,
            route: self.route,
            status: facts.status.map(|status| status.as_u16()),
            error_type,
            duration: self.started.elapsed(),
            request_bytes: self.request_bytes,
            response_bytes: facts.response_bytes,
            span: span.and_then(SpanIds::of),
        });
    }
}

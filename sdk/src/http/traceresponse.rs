//! Tells a caller which trace its request became, in a header of the response.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::SpanContext;

use super::traceparent;
use crate::context::SpanIds;

const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The header that tells it. That of W3C's draft says also which span it was and whether it is sampled.
#[derive(Clone, Debug)]
pub(super) struct Header {
    name: HeaderName,
    is_traceresponse: bool,
}

impl Header {
    pub(super) fn new(name: HeaderName) -> Self {
        Self { is_traceresponse: name == TRACERESPONSE, name }
    }

    pub(super) fn tell(&self, span: &SpanContext, headers: &mut HeaderMap) {
        let value = if self.is_traceresponse {
            traceparent::value(span)
        } else {
            SpanIds::of(span).and_then(|ids| HeaderValue::from_bytes(&ids.trace_hex()).ok())
        };
        if let Some(value) = value {
            headers.insert(self.name.clone(), value);
        }
    }
}

//! A call as the metrics see it.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tokio::time::Instant;
use tonic::Code;

use super::side::Side;
use super::status;
use crate::context::SpanIds;
use crate::http::current::InForce;
use crate::metrics::EndedCall;

/// The conventions' word for a method that the server does not know.
const OTHER: &str = "_OTHER";

/// Whom a client calls.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: Arc<str>,
    pub(super) port: Option<u16>,
}

/// Observed once, at the end of the call.
pub(super) struct Counted {
    current: Arc<InForce>,
    method: Box<str>,
    server: Option<Arc<Server>>,
    started: Instant,
}

impl Counted {
    pub(super) fn begin(
        current: &Arc<InForce>,
        method: &str,
        server: Option<&Arc<Server>>,
    ) -> Self {
        let (current, server) = (Arc::clone(current), server.map(Arc::clone));
        Self { current, method: method.into(), server, started: Instant::now() }
    }

    pub(super) fn end(self, side: Side, code: Code, is_failure: bool, span: Option<&SpanContext>) {
        let recorder = match side {
            Side::Client => &self.current.metrics.client_calls,
            Side::Server => &self.current.metrics.server_calls,
        };
        // What a server does not know, a stranger may have made up.
        let is_unknown = side == Side::Server && code == Code::Unimplemented;
        recorder.observe(&EndedCall {
            method: if is_unknown { OTHER } else { &self.method },
            status: status::name(code),
            is_failure,
            server: self.server.as_deref().map(|server| (&*server.address, server.port)),
            duration: self.started.elapsed(),
            span: span.and_then(SpanIds::of),
        });
    }
}

//! One call: its span, ended once, with the status.

use opentelemetry::KeyValue;
use tonic::Code;

use super::counted::Counted;
use super::side::Side;
use super::status;
use crate::http::exchange::Exchange;
use crate::http::outcome::Error;

/// Owns the span of a call. Dropped while still open, the call was given up.
pub(super) struct Call {
    exchange: Exchange,
    side: Side,
    is_open: bool,
    counted: Option<Counted>,
}

impl Call {
    /// A call that has begun.
    pub(super) fn new(exchange: Exchange, side: Side, counted: Option<Counted>) -> Self {
        Self { exchange, side, is_open: true, counted }
    }

    /// For a call that has no span.
    pub(super) fn untraced() -> Self {
        let exchange = Exchange::untraced();
        Self { exchange, side: Side::Server, is_open: false, counted: None }
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    /// Ends the span with a status; the first one counts.
    pub(super) fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let name = status::name(code);
        self.exchange.describe([
            KeyValue::new("rpc.response.status_code", name),
            KeyValue::new("rpc.grpc.status_code", i64::from(i32::from(code))),
        ]);
        let is_failure = match self.side {
            Side::Client => code != Code::Ok,
            Side::Server => status::is_servers_fault(code),
        };
        if let Some(counted) = self.counted.take() {
            let span = self.exchange.span_context();
            counted.end(self.side, code, is_failure, span.as_ref());
        }
        if is_failure {
            self.exchange.fail(Error::Other(name));
        }
        self.exchange.end();
    }

    /// Runs a piece of the call's work inside its span; a panic ends the span as failed.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.exchange.run(work)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

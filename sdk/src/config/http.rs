//! What the HTTP layers go by.

use std::time::Duration;

use super::Overrides;
use crate::error::Fault;
use crate::vars::{Reader, words};

/// Longer than a worker should be kept from others.
const DEFAULT_SLOW_POLL: Duration = Duration::from_millis(10);

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct HttpConfig {
    pub(crate) propagation: Propagation,
    /// In place of the nine methods that the conventions know.
    pub(crate) known_methods: Option<Vec<&'static str>>,
    /// A poll of a request that takes longer is slow.
    pub(crate) slow_poll: Duration,
}

/// What is taken from callers, and told to those that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagation {
    /// `traceparent` and `tracestate`.
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl Default for Propagation {
    fn default() -> Self {
        Self { trace_context: true, baggage: true }
    }
}

impl HttpConfig {
    /// Reads the variables; what is wrong is in the reader's faults.
    pub(crate) fn read(overrides: &Overrides, reader: &mut Reader<'_>) -> Self {
        let propagation = reader.text("OTEL_PROPAGATORS").and_then(|names| {
            let mut wanted = None;
            for name in words(&names) {
                let none = Propagation { trace_context: false, baggage: false };
                match name.to_ascii_lowercase().as_str() {
                    "tracecontext" => wanted.get_or_insert(none).trace_context = true,
                    "baggage" => wanted.get_or_insert(none).baggage = true,
                    "none" => drop(wanted.get_or_insert(none)),
                    _ => {
                        let accepted = "a list of tracecontext, baggage; or none";
                        let fault = Fault::new("OTEL_PROPAGATORS", name, accepted);
                        reader.fault(fault.instead("it is left aside"));
                    }
                }
            }
            // Where nothing is known of what is wanted, traces had better go on.
            wanted
        });
        let known_methods = reader.text("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").map(|methods| {
            // Read once in a process, and wanted as long as it lives.
            words(&methods).map(|method| &*method.to_owned().leak()).collect()
        });
        let slow_poll = reader
            .parse("SPANLINE_SLOW_POLL_THRESHOLD", "a whole number of milliseconds")
            .map(Duration::from_millis);
        Self {
            propagation: overrides.propagation.or(propagation).unwrap_or_default(),
            known_methods,
            slow_poll: overrides.slow_poll.or(slow_poll).unwrap_or(DEFAULT_SLOW_POLL),
        }
    }
}

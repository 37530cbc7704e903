//! What the HTTP layers go by.

use crate::error::Fault;
use crate::vars::Reader;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct HttpConfig {
    pub(crate) propagation: Propagation,
    /// In place of the nine methods that the conventions know.
    pub(crate) known_methods: Option<Vec<&'static str>>,
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
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let words = |text: &str| -> Vec<String> {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        let mut propagation = Propagation::default();
        if let Some(names) = reader.text("OTEL_PROPAGATORS") {
            propagation = Propagation { trace_context: false, baggage: false };
            for name in words(&names) {
                match name.as_str() {
                    "tracecontext" => propagation.trace_context = true,
                    "baggage" => propagation.baggage = true,
                    "none" => {}
                    _ => reader.fault(Fault::new(
                        "OTEL_PROPAGATORS",
                        name,
                        "a list of tracecontext, baggage; or none",
                    )),
                }
            }
        }
        let known_methods = reader.text("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS").map(|methods| {
            // Read once in a process, and wanted as long as it lives.
            words(&methods).into_iter().map(|method| &*method.leak()).collect()
        });
        Self { propagation, known_methods }
    }
}

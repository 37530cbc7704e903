//! A span's way out: `processor` takes it when it ends, `queue` holds it within bounds and keeps the
//! ledger, `exporter` takes batches on a thread of its own, which a sender of `otlp` carries to the agent.

mod exporter;
mod ledger;
mod processor;
mod queue;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

use crate::config::Config;
use crate::otlp::{self, Timings};
#[cfg(feature = "testing")]
use crate::span::Ended;
use crate::span::{Limits, Provider, Sampling, Sink};
use processor::{Nobody, Processor};
use queue::SpanQueue;

pub use ledger::{SpanDrops, SpanLedger};

/// The spans of a process: where they are made, and where they wait.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    provider: Provider,
    queue: Arc<SpanQueue>,
    timings: Arc<Timings>,
}

/// Prints a span, for `OTEL_TRACES_EXPORTER=console`. It never waits.
pub(crate) type Console = Box<dyn Fn(&SpanData) + Send>;

/// Starts the exporter, if spans are to be exported, and makes the provider.
///
/// # Errors
/// The system has no thread for the exporter.
pub(crate) fn start(config: &Config, resource: &Resource, console: Console) -> io::Result<Spans> {
    let Some(export) = &config.export else { return Ok(without_exporter(config)) };
    let queue = Arc::new(SpanQueue::new(export.queue_spans, export.queue_bytes));
    let timings = Arc::<Timings>::default();
    let sender = export.ways.otlp.then(|| otlp::timed(otlp::connect(&export.otlp), &timings));
    let console = export.ways.console.then_some(console);
    exporter::spawn(Arc::clone(&queue), sender, console, export, resource)?;
    let processor = Processor::new(Arc::clone(&queue), export.batch_spans);
    Ok(Spans { provider: provider(config, Arc::new(processor)), queue, timings })
}

/// Ids are made and printed all the same; nobody takes the spans. Where somebody should have, they are
/// counted as dropped.
pub(crate) fn without_exporter(config: &Config) -> Spans {
    let queue = Arc::new(SpanQueue::new(0, 0));
    queue.exporter_is_gone();
    let sink: Arc<dyn Sink> = match &config.export {
        Some(export) => Arc::new(Processor::new(Arc::clone(&queue), export.batch_spans)),
        None => Arc::new(Nobody),
    };
    Spans { provider: provider(config, sink), queue, timings: Arc::default() }
}

/// Without an exporter: spans wait until they are [taken](Spans::take).
#[cfg(feature = "testing")]
pub(crate) fn kept(config: &Config) -> Spans {
    /// More than a test makes.
    const KEPT_SPANS: usize = 1_000_000;
    const KEPT_BYTES: usize = 1024 * 1024 * 1024;
    let queue = Arc::new(SpanQueue::new(KEPT_SPANS, KEPT_BYTES));
    let processor = Processor::new(Arc::clone(&queue), KEPT_SPANS);
    Spans { provider: provider(config, Arc::new(processor)), queue, timings: Arc::default() }
}

fn provider(config: &Config, sink: Arc<dyn Sink>) -> Provider {
    let sampling = Sampling {
        sampler: config.sampler.clone(),
        reads_attributes: config.sampler_reads_attributes,
    };
    let limits = Limits { counts: config.span_limits, value_length: config.span_value_length };
    if config.is_disabled {
        return Provider::off(limits, sink);
    }
    Provider::new(sampling, limits, sink)
}

impl Spans {
    /// The provider, for the global one and for the `tracing` layer.
    pub(crate) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Every span that has ended, where there is no exporter to take them.
    #[cfg(feature = "testing")]
    pub(crate) fn take(&self) -> Vec<SpanData> {
        self.queue.take_all().into_iter().map(Ended::into_data).collect()
    }

    /// The account of all spans.
    pub(crate) fn ledger(&self) -> SpanLedger {
        self.queue.ledger()
    }

    /// How long the receiver took.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Delivers what waits now; `false` if the deadline passed first.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.queue.flush(deadline)
    }

    /// Delivers what waits, and takes no more; `false` if the deadline passed first, and spans were
    /// dropped for it. The provider goes last, so that spans that start meanwhile still have ids.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        let done = self.queue.close(deadline);
        self.provider.shut_down();
        done
    }
}

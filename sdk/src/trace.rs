//! A span's way out: `processor` takes it when it ends, `queue` holds it within bounds and keeps the
//! ledger, `exporter` takes batches on a thread of its own, a `sender` carries them to the agent.

mod exporter;
mod ledger;
mod processor;
mod queue;
mod sender;
mod size;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};

use crate::config::Config;
use processor::Processor;
use queue::SpanQueue;

pub use ledger::{SpanDrops, SpanLedger};

/// The spans of a process: where they are made, and where they wait.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    provider: SdkTracerProvider,
    queue: Arc<SpanQueue>,
}

/// Starts the exporter, if spans are to be exported, and makes the provider.
///
/// # Errors
/// The system has no thread for the exporter.
pub(crate) fn start(config: &Config, resource: Resource) -> io::Result<Spans> {
    let Some(export) = &config.export else { return Ok(without_exporter(config, resource)) };
    let queue = Arc::new(SpanQueue::new(export.queue_spans, export.queue_bytes));
    exporter::spawn(Arc::clone(&queue), sender::connect(export), export, &resource)?;
    let processor = Processor::new(Arc::clone(&queue), export.batch_spans);
    let provider = provider(config, resource).with_span_processor(processor).build();
    Ok(Spans { provider, queue })
}

/// Ids are made and printed all the same; nobody takes the spans.
pub(crate) fn without_exporter(config: &Config, resource: Resource) -> Spans {
    let queue = Arc::new(SpanQueue::new(0, 0));
    queue.exporter_is_gone();
    Spans { provider: provider(config, resource).build(), queue }
}

fn provider(config: &Config, resource: Resource) -> TracerProviderBuilder {
    SdkTracerProvider::builder()
        .with_sampler(config.sampler.clone())
        .with_span_limits(config.span_limits)
        .with_resource(resource)
}

impl Spans {
    /// The provider, for the global one and for the `tracing` layer.
    pub(crate) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// The account of all spans.
    pub(crate) fn ledger(&self) -> SpanLedger {
        self.queue.ledger()
    }

    /// Delivers what waits, and takes no more; `false` if the deadline passed first, and spans were
    /// dropped for it. The provider goes last: once it is shut down, spans end unseen.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        let done = self.queue.close(deadline);
        // It asks the processor to close once more, which is done already.
        drop(self.provider.shutdown_with_timeout(Duration::ZERO));
        done
    }
}

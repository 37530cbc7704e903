//! A span's way out: `processor` takes it when it ends, `queue` holds it within bounds and keeps the
//! ledger, `exporter` takes batches on a thread of its own, a `sender` carries them to the agent.

mod exporter;
mod ledger;
mod processor;
mod queue;
#[cfg(feature = "testing")]
mod route;
mod sender;
mod size;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
#[cfg(feature = "testing")]
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_sdk::trace::{SdkTracerProvider, TracerProviderBuilder};

use crate::config::Config;
use processor::Processor;
use queue::SpanQueue;
#[cfg(feature = "testing")]
pub(crate) use route::Route;

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

/// Ids are made and printed all the same; nobody takes the spans. Where somebody should have, they are
/// counted as dropped.
pub(crate) fn without_exporter(config: &Config, resource: Resource) -> Spans {
    let queue = Arc::new(SpanQueue::new(0, 0));
    queue.exporter_is_gone();
    let mut provider = provider(config, resource);
    if let Some(export) = &config.export {
        let processor = Processor::new(Arc::clone(&queue), export.batch_spans);
        provider = provider.with_span_processor(processor);
    }
    Spans { provider: provider.build(), queue }
}

/// Without an exporter: spans wait until they are [taken](Spans::take).
#[cfg(feature = "testing")]
pub(crate) fn kept(config: &Config, resource: Resource) -> Spans {
    /// More than a test makes.
    const KEPT_SPANS: usize = 1_000_000;
    const KEPT_BYTES: usize = 1024 * 1024 * 1024;
    let queue = Arc::new(SpanQueue::new(KEPT_SPANS, KEPT_BYTES));
    let processor = Processor::new(Arc::clone(&queue), KEPT_SPANS);
    let provider = provider(config, resource).with_span_processor(processor).build();
    Spans { provider, queue }
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

    /// Every span that has ended, where there is no exporter to take them.
    #[cfg(feature = "testing")]
    pub(crate) fn take(&self) -> Vec<SpanData> {
        self.queue.take_all()
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

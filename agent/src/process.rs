//! What happens to telemetry on its way through a pipeline, before it is queued.
//!
//! A processor is a [`Sink`] in front of the next one, so a pipeline's processors work in the order in which it lists them.

mod attributes;
mod batch;
mod memory_limiter;

pub use self::batch::Batcher;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use self::memory_limiter::Limiter;
use crate::config::{Action, Processor};
use crate::record::Batch;
use crate::self_metrics::SelfMetrics;
use crate::sink::{Delivery, Full, Sink};

/// The processor `name` in front of what comes after it. One that has work of its own appends it to `batchers`.
pub fn before(
    next: Arc<dyn Sink>,
    name: &str,
    processor: &Processor,
    metrics: &Arc<SelfMetrics>,
    batchers: &mut Vec<Batcher>,
) -> Arc<dyn Sink> {
    let change = match processor {
        Processor::Attributes(actions) => {
            Change { of: attributes::of_items, actions: actions.clone() }
        }
        Processor::Resource(actions) => {
            Change { of: attributes::of_resources, actions: actions.clone() }
        }
        Processor::MemoryLimiter(limit) => return Arc::new(Limiter::new(*limit, next)),
        Processor::Batch(settings) => {
            let (sink, batcher) = batch::batch(name, *settings, next, metrics);
            batchers.push(batcher);
            return sink;
        }
    };
    Arc::new(Step { change, next })
}

/// Changes each batch and hands it on.
struct Step {
    change: Change,
    next: Arc<dyn Sink>,
}

struct Change {
    of: fn(&mut Batch, &[Action]),
    actions: Vec<Action>,
}

impl Step {
    fn changed(&self, mut delivery: Delivery) -> Delivery {
        (self.change.of)(&mut delivery.batch, &self.change.actions);
        delivery
    }
}

impl Sink for Step {
    fn send(&self, delivery: Delivery) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.next.send(self.changed(delivery))
    }

    fn try_send(&self, delivery: Delivery) -> Result<(), Full> {
        self.next.try_send(self.changed(delivery))
    }
}

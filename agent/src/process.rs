//! What happens to telemetry on its way through a pipeline, before it is queued.
//!
//! A processor is a [`Sink`] in front of the next one, so a pipeline's processors work in the order in which it lists them.

mod attributes;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::Processor;
use crate::sink::{Delivery, Full, Sink};

/// A processor in front of what comes after it.
pub fn before(next: Arc<dyn Sink>, processor: &Processor) -> Arc<dyn Sink> {
    Arc::new(Step { processor: processor.clone(), next })
}

/// Changes each batch and hands it on.
struct Step {
    processor: Processor,
    next: Arc<dyn Sink>,
}

impl Step {
    fn changed(&self, mut delivery: Delivery) -> Delivery {
        match &self.processor {
            Processor::Attributes(actions) => attributes::of_items(&mut delivery.batch, actions),
            Processor::Resource(actions) => attributes::of_resources(&mut delivery.batch, actions),
        }
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

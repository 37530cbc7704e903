//! Finds what the layers go by: what belongs to the `tracing` subscriber in force.
//!
//! It lies in the subscriber's own stack, so that a subscriber of one thread (a test's) brings its tracer and
//! its metrics along, and there is no second global that could disagree with the first.

use std::sync::Arc;

use tracing::{Subscriber, dispatcher};
use tracing_subscriber::Layer;

use crate::config::HttpConfig;
use crate::metrics::RequestMetrics;
use crate::span::Tracer;

/// A layer that is there to be found, and does nothing.
#[derive(Debug)]
pub(crate) struct Current(Arc<InForce>);

/// What whoever starts a span, or counts a request, has to know.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) tracer: Tracer,
    pub(crate) http: HttpConfig,
    pub(crate) metrics: RequestMetrics,
}

impl Current {
    pub(crate) fn new(tracer: Tracer, http: HttpConfig, metrics: RequestMetrics) -> Self {
        Self(Arc::new(InForce { tracer, http, metrics }))
    }
}

impl<S: Subscriber> Layer<S> for Current {}

/// What is in force on this thread, if its subscriber is one of ours.
pub(crate) fn current() -> Option<Arc<InForce>> {
    dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Current>().map(|current| Arc::clone(&current.0))
    })
}

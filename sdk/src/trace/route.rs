//! Which provider a thread's subscriber belongs to.

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;

/// A layer that is there to be found by `Dispatch::downcast_ref`, and does nothing.
pub(crate) struct Route {
    /// Where spans of the subscriber go.
    pub(crate) provider: SdkTracerProvider,
}

impl<S: Subscriber> Layer<S> for Route {}

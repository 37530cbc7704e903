//! Spans of the OpenTelemetry API go to the test that makes them.
//!
//! `global::tracer()` has one provider for the whole process, but each test has spans of its own. So the
//! provider that is set here asks, whenever a span starts, which test is in force on the thread.

use std::sync::Once;

use opentelemetry::global::{self, BoxedSpan, BoxedTracer, GlobalTracerProvider};
use opentelemetry::trace::{SpanBuilder, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope};

use crate::http;

/// Sets the global provider, once in a process.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        global::set_tracer_provider(Router { without_test: global::tracer_provider() })
    });
}

/// The provider of whichever test is in force.
#[derive(Debug)]
struct Router {
    /// What was set before: the service's own, if `init` was called first.
    without_test: GlobalTracerProvider,
}

struct RoutedTracer {
    scope: InstrumentationScope,
    without_test: BoxedTracer,
}

impl TracerProvider for Router {
    type Tracer = RoutedTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> RoutedTracer {
        let without_test = self.without_test.tracer_with_scope(scope.clone());
        RoutedTracer { scope, without_test }
    }
}

impl Tracer for RoutedTracer {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> BoxedSpan {
        match http::current() {
            Some(current) => {
                let tracer = current.tracer.with_scope(self.scope.clone());
                BoxedTracer::new(Box::new(tracer)).build_with_context(builder, parent)
            }
            None => self.without_test.build_with_context(builder, parent),
        }
    }
}

//! The `tracing` layer that makes a line of every event, with the ids of its span.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use tracing::dispatcher::WeakDispatch;
use tracing::span::{Attributes, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Lines;
use super::extra::{self, Extra, SpanFields};
use super::fields::Fields;
use super::key_values;
use super::options::{LineOptions, Own};
use super::render::Origin;
use super::ring::Priority;
use crate::context::{self, SpanIds};

/// Makes a line of every event.
///
/// In a service it is no layer of the subscriber's: `init::gate` asks it for the line while it is asked whether the
/// event is wanted, before any other layer has seen it. As a layer of its own it has to be added *before* the
/// OpenTelemetry layer: when a span closes, that layer takes the span's ids away.
#[derive(Debug)]
pub(crate) struct LineLayer {
    lines: Lines,
    options: LineOptions,
    /// Whether the options ask for a hook's fields or those of spans.
    has_extras: bool,
    /// The subscriber that this layer is part of; it knows the ids of spans that are not entered.
    dispatch: OnceLock<WeakDispatch>,
}

impl LineLayer {
    pub(super) fn new(lines: Lines, options: LineOptions) -> Self {
        let has_extras = options.hook.is_some() || options.span_fields == Some(true);
        Self { lines, options, has_extras, dispatch: OnceLock::new() }
    }

    fn ids<S>(&self, event: &Event<'_>, target: &str, spans: &Context<'_, S>) -> Option<SpanIds>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        // OpenTelemetry's own events come from inside its locks: to ask for ids there is a deadlock
        // or a panic.
        if target.starts_with("opentelemetry") {
            None
        } else if event.is_contextual() {
            context::active()
        } else {
            self.ids_of_span(event.parent()?, spans)
        }
    }

    /// The fields of the hook and of the spans around.
    fn add_extras<S>(
        &self,
        event: &Event<'_>,
        origin: &Origin<'_>,
        fields: &mut Fields,
        spans: &Context<'_, S>,
    ) where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if let Some(Own(hook)) = &self.options.hook {
            let mut extra = Extra { level: origin.level, target: origin.target, fields };
            // A hook that panics costs its fields, and nobody's request.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&mut extra)));
        }
        if self.options.span_fields == Some(true) {
            for span in spans.event_scope(event).into_iter().flatten() {
                if let Some(span_fields) = span.extensions().get::<SpanFields>() {
                    span_fields.add_to(fields);
                }
            }
        }
    }

    fn ids_of_span<S>(&self, id: &span::Id, spans: &Context<'_, S>) -> Option<SpanIds>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let dispatch = self.dispatch.get()?.upgrade()?;
        // A span that the OpenTelemetry layer's filter hides has no ids; what surrounds it may have.
        spans.span_scope(id)?.find_map(|span| {
            let context = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)?;
            SpanIds::of_context(&context)
        })
    }
}

impl<S> Layer<S> for LineLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &span::Id, spans: Context<'_, S>) {
        if self.options.span_fields == Some(true)
            && let Some(span) = spans.span(id)
        {
            // Its values' own code runs before anything is locked.
            let fields = SpanFields::of(attributes);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &Record<'_>, spans: Context<'_, S>) {
        if self.options.span_fields == Some(true)
            && let Some(span) = spans.span(id)
        {
            let newer = SpanFields::of_record(values);
            if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
                fields.record(&newer);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, spans: Context<'_, S>) {
        // An event of the `log` crate carries its real metadata in its fields. To look at the target first
        // is cheaper than to ask of every event.
        let may_be_from_log_crate = event.metadata().target() == "log";
        let normalized = may_be_from_log_crate.then(|| event.normalized_metadata()).flatten();
        let is_from_log_crate = normalized.is_some();
        let metadata: &Metadata<'_> = normalized.as_ref().unwrap_or_else(|| event.metadata());
        self.lines.emit(is_from_log_crate, priority(*metadata.level()), |fields| {
            let origin = Origin {
                level: *metadata.level(),
                target: metadata.target(),
                file: metadata.file(),
                line: metadata.line(),
                ids: self.ids(event, metadata.target(), &spans),
                is_panic: false,
            };
            // Before the event's own values, whose code may log.
            let key_values = if is_from_log_crate { key_values::taken() } else { None };
            event.record(fields);
            if let Some(values) = &key_values {
                for (name, value) in values.iter() {
                    extra::add_value(fields, name, value);
                }
            }
            if self.has_extras {
                self.add_extras(event, &origin, fields, &spans);
            }
            origin
        });
    }
}

fn priority(level: Level) -> Priority {
    if level <= Level::WARN { Priority::High } else { Priority::Normal }
}

//! The outermost layer: which events become lines, which `tracing` spans become OpenTelemetry spans.
//!
//! `RUST_LOG` is a wish about lines. Were it to hide spans, the warnings that are left would lose their
//! ids; so events and spans have a filter each. Layers with filters of their own (`with_filter`) would do
//! the same, but cost every event and every span a vote among the layers. Here nothing needs a vote: an event
//! is a line and a span is a span, so an event that is let through is written by this layer, and goes no
//! further.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::config::Config;
use crate::context;
use crate::error::Fault;
use crate::log::{self, LineLayer};
use crate::span;

/// The target of the spans that the HTTP layers make; no filter hides them.
const HTTP_TARGET: &str = "spanline::http";

const ACCEPTED: &str = "directives such as info,checkout=debug";

/// What is wrong with the directives.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    [("RUST_LOG", &config.log_filter), ("SPANLINE_TRACE_FILTER", &config.trace_filter)]
        .into_iter()
        .filter(|(_, directives)| EnvFilter::try_new(directives).is_err())
        .map(|(setting, directives)| Fault::new(setting, directives.as_str(), ACCEPTED))
        .collect()
}

/// See the module. It has to be added to the subscriber last.
#[derive(Debug)]
pub(super) struct Gate {
    lines: LineLayer,
    line_filter: Directives,
    span_filter: Directives,
    /// How much the crate says of itself; where it is not set, the filter of lines decides about what is no fault.
    diagnostics: Option<LevelFilter>,
    /// Events go on to the OpenTelemetry layer, which copies them into their spans.
    copies_events: bool,
    /// Below a span that is not sampled no `tracing` span is made.
    skips_unsampled: bool,
}

impl Gate {
    pub(super) fn new(config: &Config, lines: LineLayer) -> Self {
        Self {
            lines,
            line_filter: Directives::new(&config.log_filter),
            span_filter: Directives::new(&config.trace_filter),
            diagnostics: config.diagnostics,
            copies_events: config.copies_events,
            skips_unsampled: config.skips_unsampled,
        }
    }

    /// Whether an event of the crate's own, or OpenTelemetry's, is said; `None` where the filter of lines decides. A
    /// fault that `RUST_LOG=off` hid would leave nobody a way to learn why telemetry does not arrive.
    fn says(&self, metadata: &Metadata<'_>) -> Option<bool> {
        let level = *metadata.level();
        match self.diagnostics {
            Some(most) => is_own(metadata.target()).then_some(level <= most),
            None => (level <= Level::WARN && is_own(metadata.target())).then_some(true),
        }
    }

    /// The filters that want to know what becomes of spans.
    fn followers(&self) -> impl Iterator<Item = &EnvFilter> {
        let both = [&self.line_filter, &self.span_filter];
        both.into_iter().filter(|directives| directives.follow_spans).map(|follow| &follow.filter)
    }
}

impl<S> Layer<S> for Gate
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        Layer::<S>::on_register_dispatch(&self.lines, dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The directives of lines are told of spans too: some ask in which span an event is.
        let of_lines = Filter::<S>::callsite_enabled(&self.line_filter.filter, metadata);
        if !metadata.is_span() {
            match self.says(metadata) {
                Some(true) => Interest::always(),
                Some(false) => Interest::never(),
                None => of_lines,
            }
        } else if metadata.target() == HTTP_TARGET {
            Interest::always()
        } else {
            let of_spans = Filter::<S>::callsite_enabled(&self.span_filter.filter, metadata);
            if self.skips_unsampled && !of_spans.is_never() {
                Interest::sometimes()
            } else {
                of_spans
            }
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        if !metadata.is_span() {
            // Events of the `log` crate come through one callsite, whose metadata is not theirs.
            self.says(metadata)
                .unwrap_or_else(|| Filter::enabled(&self.line_filter.filter, metadata, &context))
        } else if metadata.target() == HTTP_TARGET {
            true
        } else {
            !(self.skips_unsampled && context::is_unsampled())
                && Filter::enabled(&self.span_filter.filter, metadata, &context)
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let lines = Filter::<S>::max_level_hint(&self.line_filter.filter)?;
        let spans = Filter::<S>::max_level_hint(&self.span_filter.filter)?;
        // The HTTP layers' spans are of level INFO.
        let diagnostics = self.diagnostics.unwrap_or(LevelFilter::OFF);
        Some(lines.max(spans).max(diagnostics).max(LevelFilter::INFO))
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        if !self.copies_events {
            self.lines.on_event(event, context);
            return false;
        }
        let is_from_log_crate = event.metadata().target() == "log";
        let key_values = if is_from_log_crate { log::attributes() } else { Vec::new() };
        self.lines.on_event(event, context);
        // From here on the OpenTelemetry layer copies the event.
        span::tell_next_event(key_values);
        true
    }

    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
        // It has been copied, unless there is no span around it.
        span::tell_next_event(Vec::new());
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.lines.on_new_span(attributes, id, context.clone());
        for filter in self.followers() {
            Filter::on_new_span(filter, attributes, id, context.clone());
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.lines.on_record(id, values, context.clone());
        for filter in self.followers() {
            Filter::on_record(filter, id, values, context.clone());
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        for filter in self.followers() {
            Filter::on_enter(filter, id, context.clone());
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        for filter in self.followers() {
            Filter::on_exit(filter, id, context.clone());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        for filter in self.followers() {
            Filter::on_close(filter, id.clone(), context.clone());
        }
    }
}

/// Whether an event is the crate's or OpenTelemetry's, about themselves.
fn is_own(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or(target);
    name == "spanline" || name.starts_with("opentelemetry")
}

/// What a setting says.
#[derive(Debug)]
struct Directives {
    filter: EnvFilter,
    /// Directives such as `[request{user=ada}]=debug` follow spans; most filters have none.
    follow_spans: bool,
}

impl Directives {
    /// Directives that cannot be read are told as a fault, and count as `info`.
    fn new(text: &str) -> Self {
        let filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
        Self { filter, follow_spans: text.contains('[') }
    }
}

#[cfg(test)]
mod tests;

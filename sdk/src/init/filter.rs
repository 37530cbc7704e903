//! Which events become lines and which `tracing` spans become OpenTelemetry spans.
//!
//! `RUST_LOG` is a wish about lines. Were it to hide spans, the warnings that are left would lose their
//! ids; so spans have a filter of their own, and the lines' layer sees the spans that this one lets pass.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

use crate::config::Config;
use crate::error::Fault;

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

/// For the layer that makes lines: events by `RUST_LOG`, and the spans that have ids.
pub(super) fn lines(config: &Config) -> Lines {
    Lines { events: directives(&config.log_filter), spans: spans(config) }
}

/// For the layer that makes OpenTelemetry spans: spans only, since an event that is a line need not be
/// stored in its span once more.
pub(super) fn spans(config: &Config) -> Spans {
    Spans(directives(&config.trace_filter))
}

/// Directives that cannot be read are told as a fault, and count as `info`.
fn directives(text: &str) -> EnvFilter {
    EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// See [`lines`].
pub(super) struct Lines {
    events: EnvFilter,
    spans: Spans,
}

/// See [`spans`].
pub(super) struct Spans(EnvFilter);

impl<S: Subscriber> Filter<S> for Lines
where
    EnvFilter: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        if metadata.is_span() {
            self.spans.enabled(metadata, context)
        } else {
            Filter::enabled(&self.events, metadata, context)
        }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The directives of events are told of spans too: some ask in which span an event is.
        let of_events = Filter::<S>::callsite_enabled(&self.events, metadata);
        if metadata.is_span() {
            Filter::<S>::callsite_enabled(&self.spans, metadata)
        } else {
            of_events
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let events = Filter::<S>::max_level_hint(&self.events)?;
        Some(events.max(Filter::<S>::max_level_hint(&self.spans)?))
    }
}

impl<S: Subscriber> Filter<S> for Spans
where
    EnvFilter: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        metadata.is_span()
            && (metadata.target() == HTTP_TARGET || Filter::enabled(&self.0, metadata, context))
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !metadata.is_span() {
            Interest::never()
        } else if metadata.target() == HTTP_TARGET {
            Interest::always()
        } else {
            Filter::<S>::callsite_enabled(&self.0, metadata)
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The HTTP layers' spans are of level INFO.
        Some(Filter::<S>::max_level_hint(&self.0)?.max(LevelFilter::INFO))
    }
}

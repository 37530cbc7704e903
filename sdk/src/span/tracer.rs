//! Makes spans: decides by the sampler, gives ids, applies the limits.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::time::now;
use opentelemetry::trace::{
    Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult,
    ShouldSample as _, SpanEvents,
};

use super::{CARRIER, Content, Ended, Limits, Sink, Span, carrier};

/// Who decides whether a span is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    pub(crate) sampler: Sampler,
    /// Whether its decision may depend on the span's attributes, which then have to be made first.
    pub(crate) reads_attributes: bool,
}

/// Makes the tracers of a process; they share all but their scope.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    shared: Arc<Shared>,
}

/// Makes spans of one instrumentation scope.
#[derive(Clone, Debug)]
pub(crate) struct Tracer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    scope: InstrumentationScope,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sampling: Sampling,
    limits: Limits,
    ids: RandomIdGenerator,
    sink: Arc<dyn Sink>,
    is_down: AtomicBool,
    /// Telemetry is switched off: no span is made, and callers' contexts are passed on.
    is_off: bool,
}

/// Whose child a span is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parent<'a> {
    /// The span of a context, if it has one.
    Context(&'a Context),
    /// A span of another process. It needs no context, which would be an allocation.
    Remote(&'a SpanContext),
    /// Nobody's.
    None,
}

/// A span to be started by [`Tracer::open`].
pub(crate) struct Start<'a, F> {
    pub(crate) kind: SpanKind,
    pub(crate) name: Cow<'static, str>,
    pub(crate) parent: Parent<'a>,
    pub(crate) links: Vec<Link>,
    /// Says what the span says from its start. Called for a span that is recorded, or if the sampler wants to
    /// know; never otherwise.
    pub(crate) content: F,
}

// === impl Provider ===

impl Provider {
    pub(crate) fn new(sampling: Sampling, limits: Limits, sink: Arc<dyn Sink>) -> Self {
        let (ids, is_down) = (RandomIdGenerator::default(), AtomicBool::new(false));
        let is_off = false;
        Self { shared: Arc::new(Shared { sampling, limits, ids, sink, is_down, is_off }) }
    }

    /// Makes no spans: whoever starts one gets its parent's ids, so that the trace of a caller goes on.
    pub(crate) fn off(limits: Limits, sink: Arc<dyn Sink>) -> Self {
        let sampling = Sampling { sampler: Sampler::AlwaysOff, reads_attributes: false };
        let (ids, is_down) = (RandomIdGenerator::default(), AtomicBool::new(false));
        let shared = Shared { sampling, limits, ids, sink, is_down, is_off: true };
        Self { shared: Arc::new(shared) }
    }

    /// From now on spans that start have no ids and are not recorded. Those that have started end as usual.
    pub(crate) fn shut_down(&self) {
        self.shared.is_down.store(true, Ordering::Relaxed);
    }
}

impl opentelemetry::trace::TracerProvider for Provider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer::new(scope, &self.shared)
    }
}

// === impl Tracer ===

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        if builder.name == CARRIER
            && let Some(span) = carrier::handed_over()
        {
            return span;
        }
        if let Some(ids) = self.none_made(Parent::Context(parent)) {
            return Span::unrecorded(ids);
        }
        let attributes = builder.attributes.unwrap_or_default();
        let kind = builder.span_kind.unwrap_or(SpanKind::Internal);
        let links = builder.links.unwrap_or_default();
        let sample =
            self.sample(Parent::Context(parent), &builder.name, &kind, &attributes, &links);
        if sample.result.decision == SamplingDecision::Drop {
            return Span::unrecorded(self.unrecorded(sample));
        }
        let start_time = builder.start_time;
        let start = Start {
            kind,
            name: builder.name,
            parent: Parent::Context(parent),
            links,
            content: |content: &mut Content| content.attributes = attributes,
        };
        let mut span = self.record(start, sample, start_time);
        if let Some(events) = builder.events {
            span.record(|recording, limits| recording.events = limits.events(events));
        }
        span
    }
}

impl Tracer {
    fn new(scope: InstrumentationScope, shared: &Arc<Shared>) -> Self {
        Self { inner: Arc::new(Inner { scope, shared: Arc::clone(shared) }) }
    }

    /// A tracer of the same provider.
    #[cfg(feature = "testing")]
    pub(crate) fn with_scope(&self, scope: InstrumentationScope) -> Self {
        Self::new(scope, &self.inner.shared)
    }

    /// Decides about a span before it is made, since it is large: by what it is recorded, or the ids of one that
    /// is not.
    pub(crate) fn decide<F: Fn(&mut Content)>(
        &self,
        start: &Start<'_, F>,
    ) -> Result<Sample, SpanContext> {
        let Start { kind, name, parent, links, content } = start;
        if let Some(ids) = self.none_made(*parent) {
            return Err(ids);
        }
        let sample = if self.inner.shared.sampling.reads_attributes {
            let mut made = Content::default();
            content(&mut made);
            self.sample(*parent, name, kind, &made.to_attributes(), links)
        } else {
            self.sample(*parent, name, kind, &[], links)
        };
        if sample.result.decision == SamplingDecision::Drop {
            return Err(self.unrecorded(sample));
        }
        Ok(sample)
    }

    /// Starts a span whose attributes are made only if they are needed.
    pub(crate) fn open<F: Fn(&mut Content)>(&self, start: Start<'_, F>) -> Span {
        match self.decide(&start) {
            Ok(sample) => self.record(start, sample, None),
            Err(ids) => Span::unrecorded(ids),
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.shared.limits
    }

    pub(super) fn scope(&self) -> &InstrumentationScope {
        &self.inner.scope
    }

    pub(super) fn sink(&self) -> &dyn Sink {
        &*self.inner.shared.sink
    }

    /// The ids where no span is made.
    #[inline]
    fn none_made(&self, parent: Parent<'_>) -> Option<SpanContext> {
        if self.inner.shared.is_off {
            let parent = parent.with(|parent| parent.cloned());
            return Some(parent.unwrap_or(SpanContext::NONE));
        }
        let is_suppressed = match parent {
            Parent::Context(context) => context.is_telemetry_suppressed(),
            Parent::Remote(_) | Parent::None => false,
        };
        let is_silent = is_suppressed || self.inner.shared.is_down.load(Ordering::Relaxed);
        is_silent.then_some(SpanContext::NONE)
    }

    fn sample(
        &self,
        parent: Parent<'_>,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> Sample {
        let Shared { sampling, ids, .. } = &*self.inner.shared;
        let trace_id = parent.with(|parent| match parent {
            Some(parent) => parent.trace_id(),
            None => ids.new_trace_id(),
        });
        let ask = |context: &Context| {
            let sampler = &sampling.sampler;
            sampler.should_sample(Some(context), trace_id, name, kind, attributes, links)
        };
        let result = match (parent, &sampling.sampler) {
            // Its answer is known, and asking would need a context.
            (Parent::Remote(remote), Sampler::ParentBased(_)) => SamplingResult {
                decision: if remote.is_sampled() {
                    SamplingDecision::RecordAndSample
                } else {
                    SamplingDecision::Drop
                },
                attributes: Vec::new(),
                trace_state: remote.trace_state().clone(),
            },
            (Parent::Remote(remote), _) => {
                ask(&Context::new().with_remote_span_context(remote.clone()))
            }
            (Parent::Context(context), _) => ask(context),
            (Parent::None, _) => ask(&Context::new()),
        };
        Sample { trace_id, result }
    }

    /// The ids of a span that is not recorded.
    fn unrecorded(&self, sample: Sample) -> SpanContext {
        let span_id = self.inner.shared.ids.new_span_id();
        let Sample { trace_id, result } = sample;
        SpanContext::new(trace_id, span_id, TraceFlags::default(), false, result.trace_state)
    }

    /// Starts a span that is recorded.
    #[inline]
    pub(crate) fn record<F: FnOnce(&mut Content)>(
        &self,
        start: Start<'_, F>,
        sample: Sample,
        start_time: Option<std::time::SystemTime>,
    ) -> Span {
        let Shared { limits, ids, .. } = &*self.inner.shared;
        let SamplingResult { decision, attributes: further, trace_state } = sample.result;
        let (parent_span_id, parent_span_is_remote, flags) = start.parent.with(|parent| {
            parent.map_or(
                (opentelemetry::trace::SpanId::INVALID, false, TraceFlags::default()),
                |parent| (parent.span_id(), parent.is_remote(), parent.trace_flags()),
            )
        });
        let flags = flags.with_sampled(decision == SamplingDecision::RecordAndSample);
        let span_context =
            SpanContext::new(sample.trace_id, ids.new_span_id(), flags, false, trace_state);
        let start_time = start_time.unwrap_or_else(now);
        // Made where it stays: it is large, and each move is a copy.
        let mut span = Span {
            recording: Some(Ended {
                context: span_context.clone(),
                tracer: self.clone(),
                parent_span_id,
                parent_span_is_remote,
                kind: start.kind,
                name: start.name,
                start_time,
                end_time: start_time,
                content: Content { request: None, attributes: Vec::new() },
                dropped_attributes: 0,
                events: SpanEvents::default(),
                links: limits.links(start.links),
                status: Status::Unset,
            }),
            context: span_context,
        };
        span.record(|recording, limits| {
            let Ended { content, dropped_attributes, .. } = recording;
            (start.content)(content);
            content.attributes.extend(further);
            *dropped_attributes =
                limits.bound(&mut content.attributes, limits.counts.max_attributes_per_span);
        });
        span
    }
}

/// What the sampler said, and of which trace.
pub(crate) struct Sample {
    trace_id: TraceId,
    result: SamplingResult,
}

impl Parent<'_> {
    /// The parent's ids, if they are any: an invalid span is nobody's parent.
    fn with<T>(self, use_it: impl FnOnce(Option<&SpanContext>) -> T) -> T {
        let valid = |context: &SpanContext| context.is_valid();
        match self {
            Parent::Context(context) => {
                use_it(Some(context.span().span_context()).filter(|context| valid(context)))
            }
            Parent::Remote(remote) => use_it(Some(remote).filter(|context| valid(context))),
            Parent::None => use_it(None),
        }
    }
}

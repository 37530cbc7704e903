//! Spans of OTLP → a batch: whatever has no valid ids cannot be found again, so it is not kept.

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};

use super::signal::{Rejected, Sorted};
use crate::record::{Batch, SpanBatch, SpanId, TraceId};

/// Keeps the valid spans and counts the others.
pub(super) fn batch(mut resource_spans: Vec<ResourceSpans>) -> Sorted {
    let mut rejected = 0;
    for scope in resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
        let sent = scope.spans.len();
        scope.spans.retain_mut(is_valid);
        rejected += sent - scope.spans.len();
    }
    Sorted {
        batch: Batch::Spans(SpanBatch { resource_spans }),
        rejected: Rejected {
            items: rejected,
            why: "a span needs a trace id of 16 bytes and a span id of 8, neither all zero",
        },
    }
}

fn is_valid(span: &mut Span) -> bool {
    // Some senders write the root's parent as zeros; a parent that cannot be one is none.
    if SpanId::from_bytes(&span.parent_span_id).is_none() {
        span.parent_span_id.clear();
    }
    TraceId::from_bytes(&span.trace_id).is_some() && SpanId::from_bytes(&span.span_id).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans;

    fn span(trace_id: &[u8], span_id: &[u8], parent: &[u8]) -> Span {
        Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id.to_vec(),
            parent_span_id: parent.to_vec(),
            ..Span::default()
        }
    }

    #[test]
    fn spans_without_valid_ids_are_rejected_and_the_others_kept() {
        let spans = vec![
            span(&[1; 16], &[2; 8], &[]),
            span(&[0; 16], &[2; 8], &[]),
            span(&[1; 16], &[0; 8], &[]),
            span(&[1; 15], &[2; 8], &[]),
            span(&[1; 16], &[3; 8], &[0; 8]),
        ];
        let scope = ScopeSpans { spans, ..ScopeSpans::default() };
        let sorted =
            batch(vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }]);
        assert_eq!(sorted.rejected.items, 3);
        let Batch::Spans(kept) = sorted.batch else { panic!("spans expected") };
        let kept = &kept.resource_spans[0].scope_spans[0].spans;
        assert_eq!(kept.len(), 2);
        assert!(kept[1].parent_span_id.is_empty(), "a parent of zeros is no parent");
    }
}

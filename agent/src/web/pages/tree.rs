//! The order in which a trace's spans are read: each below the one that called it.

use std::collections::HashMap;

use opentelemetry_proto::tonic::trace::v1::Span;

/// A span's place in the waterfall.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which of the spans that were given.
    pub(super) index: usize,
    /// How many callers it has above it.
    pub(super) depth: usize,
    /// Whether it names a caller that is not here: not sent, not yet, or no longer kept.
    pub(super) is_orphan: bool,
}

/// The spans in order: callers before what they called, what was called in order of start. Every
/// span has exactly one place, whatever the senders say: a caller may be missing, an id may come
/// twice, and spans may call each other in a circle.
pub(super) fn places(spans: &[&Span]) -> Vec<Place> {
    let mut by_start: Vec<usize> = (0..spans.len()).collect();
    by_start.sort_by_key(|&index| spans[index].start_time_unix_nano);
    let mut by_id = HashMap::new();
    for &index in &by_start {
        by_id.entry(spans[index].span_id.as_slice()).or_insert(index);
    }
    let parent_of = |index: usize| {
        let parent = spans[index].parent_span_id.as_slice();
        by_id.get(parent).copied().filter(|&parent| parent != index)
    };
    let mut called: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for &index in &by_start {
        match parent_of(index) {
            Some(parent) => called[parent].push(index),
            None => roots.push(index),
        }
    }
    let mut places = Vec::with_capacity(spans.len());
    let mut is_placed = vec![false; spans.len()];
    // After the roots' trees only circles are left; each begins with its earliest span.
    for root in roots.into_iter().chain(by_start) {
        let mut waiting = vec![(root, 0)];
        while let Some((index, depth)) = waiting.pop() {
            if std::mem::replace(&mut is_placed[index], true) {
                continue;
            }
            let is_orphan = depth == 0 && !spans[index].parent_span_id.is_empty();
            places.push(Place { index, depth, is_orphan });
            waiting.extend(called[index].iter().rev().map(|&child| (child, depth + 1)));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(id: u8, parent: u8, start: u64) -> Span {
        Span {
            span_id: vec![id; 8],
            parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
            start_time_unix_nano: start,
            ..Span::default()
        }
    }

    fn order(spans: &[Span]) -> Vec<(u8, usize, bool)> {
        places(&spans.iter().collect::<Vec<_>>())
            .into_iter()
            .map(|place| (spans[place.index].span_id[0], place.depth, place.is_orphan))
            .collect()
    }

    #[test]
    fn what_was_called_stands_below_its_caller_in_order_of_start() {
        let spans = [span(4, 2, 30), span(3, 1, 20), span(2, 1, 10), span(1, 0, 15)];
        let expected = [(1, 0, false), (2, 1, false), (4, 2, false), (3, 1, false)];
        assert_eq!(order(&spans), expected);
    }

    #[test]
    fn a_span_whose_caller_is_missing_stands_by_itself() {
        assert_eq!(order(&[span(1, 0, 10), span(2, 9, 5)]), [(2, 0, true), (1, 0, false)]);
    }

    #[test]
    fn spans_that_call_each_other_in_a_circle_are_shown() {
        let spans = [span(1, 2, 1), span(2, 1, 2), span(3, 3, 3)];
        assert_eq!(order(&spans), [(3, 0, true), (1, 0, true), (2, 1, false)]);
    }

    proptest! {
        #[test]
        fn every_span_has_one_place(calls in prop::collection::vec((1..8u8, 0..8u8), 0..20)) {
            let spans: Vec<_> = calls.iter().map(|&(id, parent)| span(id, parent, 1)).collect();
            let mut indexes: Vec<_> = places(&spans.iter().collect::<Vec<_>>())
                .into_iter()
                .map(|place| place.index)
                .collect();
            indexes.sort_unstable();
            prop_assert_eq!(indexes, (0..spans.len()).collect::<Vec<_>>());
        }
    }
}

//! Operators by name: each gets one, and none leads back to itself.

use super::{Named, Operator, OperatorKind};

/// Gives those without an id of their own their kind's name, the later ones with a number.
pub(super) fn number(named: &mut [Named]) {
    for at in 0..named.len() {
        if named[at].has_id {
            continue;
        }
        let kind = named[at].id.clone();
        let is_taken = |id: &str| {
            named.iter().enumerate().any(|(other, operator)| {
                operator.id == id && (other < at || (operator.has_id && other != at))
            })
        };
        let mut ids = std::iter::once(kind.clone()).chain((1..).map(|n| format!("{kind}{n}")));
        if let Some(id) = ids.find(|id| !is_taken(id)) {
            named[at].id = id;
        }
    }
}

/// An operator from which entries come back to it.
pub(super) fn circle(operators: &[Operator]) -> Option<&str> {
    let next = |at: usize| {
        let routes = match &operators[at].kind {
            OperatorKind::Router { routes } => routes.as_slice(),
            _ => &[],
        };
        let routes = routes.iter().filter_map(|(_, next)| *next);
        routes.chain(
            operators[at]
                .next
                .filter(|_| !matches!(operators[at].kind, OperatorKind::Router { .. })),
        )
    };
    let comes_back = |start: usize| {
        let (mut seen, mut todo) = (vec![false; operators.len()], next(start).collect::<Vec<_>>());
        while let Some(at) = todo.pop() {
            if at == start {
                return true;
            }
            if !std::mem::replace(&mut seen[at], true) {
                todo.extend(next(at));
            }
        }
        false
    };
    (0..operators.len()).find(|start| comes_back(*start)).map(|start| operators[start].id.as_str())
}

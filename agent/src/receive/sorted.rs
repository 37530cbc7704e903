//! What becomes of a request's items: kept, or told back to the sender as rejected.

use crate::record::Batch;

/// A request, sorted into what can be kept and what cannot.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) batch: Batch,
    pub(super) rejected: Rejected,
}

/// Items that cannot be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) items: usize,
    pub(super) why: &'static str,
}

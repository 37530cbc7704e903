//! The processors' settings.

use super::component::Kind;

/// A processor and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Processor {}

pub(super) const KINDS: &[Kind<Processor>] = &[];

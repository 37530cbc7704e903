//! One page for each topic; there is nothing to call here.

/// How a line is written, and what always holds of it.
#[doc = include_str!("docs/formats.md")]
pub mod formats {}

/// Every variable, its meaning and its default.
#[doc = include_str!("docs/settings.md")]
pub mod settings {}

/// What is served at `/metrics` and pushed, family by family.
#[doc = include_str!("docs/metrics.md")]
pub mod metrics {}

/// How nothing is lost at the end, and what may be.
#[doc = include_str!("docs/shutdown.md")]
pub mod shutdown {}

/// `NODE_IP`, and what else a pod's manifest says.
#[doc = include_str!("docs/kubernetes.md")]
pub mod kubernetes {}

/// Which traces are recorded, and what the others cost.
#[doc = include_str!("docs/sampling.md")]
pub mod sampling {}

/// Forged lines, foreign callers, what leaves the process.
#[doc = include_str!("docs/security.md")]
pub mod security {}

/// How a service's own tests see its lines and spans.
#[doc = include_str!("docs/testing.md")]
pub mod testing {}

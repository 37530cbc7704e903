//! The demo chain: `api-node` asks `api-python`, and one request is one trace over both.
//!
//! [`node`] and [`python`] are what a service that uses the SDK looks like, and short, since they are
//! what one copies. [`launcher`] runs the two together with the node agent on one machine, and plays
//! the container runtime for them: the agent gets nothing but what it would get in a cluster.

pub mod node;
pub mod python;
mod service;

pub mod cli;
pub mod launcher;

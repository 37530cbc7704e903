//! The node agent: tails pod logs, receives OTLP, and hands both to its exporters.

pub mod record;

pub mod store;

pub mod ack;
pub mod self_metrics;
pub mod sink;

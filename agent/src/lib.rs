//! The node agent: tails pod logs, receives OTLP, and hands both to its exporters.

pub mod receive;

pub mod record;

pub mod fanout;

pub mod queue;

pub mod export;

pub mod ack;
pub mod self_metrics;
pub mod serve;
pub mod sink;

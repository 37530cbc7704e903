//! The node agent: tails pod logs, receives OTLP, and hands both to its exporters.
//!
//! The modules stand in the order in which data travels. Sources (`tail`, `receive`) know a
//! [`sink::Sink`] and nothing beyond it; [`agent`] is the one place that joins the stages.

pub mod parse;
pub mod receive;
pub mod tail;

pub mod pod_logs;

pub mod export;
pub mod fanout;
pub mod queue;

pub mod ack;
pub mod record;
pub mod self_metrics;
mod serve;
pub mod sink;

//! The node agent: tails pod logs, receives OTLP, and hands both to its exporters.
//!
//! The modules stand in the order in which data travels. Sources (`tail`, `receive`) know a
//! [`sink::Sink`] and nothing beyond it; [`agent`] is the one place that joins the stages.

pub mod parse;
pub mod receive;
pub mod tail;

pub mod pod_logs;

pub mod route;

pub mod process;

pub mod fanout;

pub mod queue;

pub mod export;

pub mod store;
pub mod web;

pub mod agent;

pub mod cli;
pub mod config;

mod accept;
pub mod ack;
pub mod auth;
pub mod health;
mod otlp_json;
mod own;
pub mod record;
pub mod reload;
mod rpc_status;
pub mod samples;
pub mod self_metrics;
pub mod serve;
pub mod sink;
mod state_lock;
pub mod tls;

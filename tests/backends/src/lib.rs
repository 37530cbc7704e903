//! The harness of the tests before the real back ends: each is a process on free loopback ports in a folder of its own.
//!
//! A [`BackEnd`] is started, waited for until it is ready, stopped and started again, and killed when it is dropped; its last
//! lines are shown when its test fails. [`Loki`], [`Tempo`] and [`Prometheus`] know how to start one and what
//! to ask it, over TLS as an [`Asker`]; a [`Relay`] is our agent, or the Collector in its place. A [`Corpus`] is what kubelet's folder could hold, [`Sink`] an OTLP receiver that remembers
//! every record, and [`compare`] tells two accounts of the same lines apart.

mod back_end;

pub mod compare;
pub mod configuration;
mod corpus;
mod load;
mod loki;
mod ports;
mod prometheus;
mod relay;
mod samples;
mod sink;
mod tempo;
mod tunnel;

pub use back_end::BackEnd;

pub use corpus::{Corpus, Extent, FOREIGN};
pub use load::Load;
pub use loki::{Entry, Loki};
pub use ports::free_port;
pub use prometheus::{Prometheus, Series};
pub use relay::{Kind, Relay};
pub use samples::sum;
pub use sink::Sink;
pub use tempo::Tempo;
pub use tunnel::Asker;

/// The program that knows all roles; only a test binary is told by cargo where it is.
#[macro_export]
macro_rules! program {
    () => {
        std::path::Path::new(env!("CARGO_BIN_EXE_spanline-demo-before-back-ends"))
    };
}

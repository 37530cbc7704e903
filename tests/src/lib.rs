//! The harness of the end-to-end tests: real processes on free ports in folders of their own, and the
//! questions that a test asks them.
//!
//! A test starts a [`Chain`] (the three processes, each of which it can stop and start) or a
//! [`Launcher`] (the program as a person runs it), asks the agent by [`ReadApi`], compares with what
//! the services wrote to their [`PodLog`]s, and waits by [`eventually`]. A test about the sdk alone starts a
//! [`Service`] with a [`Receiver`] in the agent's place.

mod chain;
mod eventually;
mod http;
mod launcher;
mod pod_log;
mod read_api;
mod receiver;
mod service;

pub use chain::Chain;
pub use eventually::{WITHIN, eventually};
pub use http::get;
pub use launcher::{Ended, Launcher, runs};
pub use pod_log::PodLog;
pub use read_api::{Line, ReadApi, Span};
pub use receiver::{Answering, Receiver};
pub use service::{SERVICE_EXIT_CODE, SPANS_OF_SERVICE, Service};

/// The program that knows all roles; only a test binary is told by cargo where it is.
#[macro_export]
macro_rules! program {
    () => {
        std::path::Path::new(env!("CARGO_BIN_EXE_spanline-demo-under-test"))
    };
}

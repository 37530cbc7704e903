//! Log lines and metrics that know their trace, and spans to the agent on the same node.
//!
//! The smallest service:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let _telemetry = spanline::init("checkout");
//!
//!     let app = Router::new().route("/", get(hello)).layer(spanline::http::server());
//!
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     spanline::serve(listener, app).await
//! }
//!
//! async fn hello() -> &'static str {
//!     tracing::info!("hello");
//!     "Hello World!"
//! }
//! ```
//!
//! Each request is a trace, or part of its caller's; every line that it prints carries the ids of the active
//! span, whether it comes from [`tracing`](https://docs.rs/tracing) or the `log` crate:
//!
//! ```text
//! 2026-11-23T17:28:00.123456Z INFO [trace_id=0af7651916cd43dd8448eb211c80319c span_id=00f067aa0ba902b7] checkout: hello
//! ```
//!
//! # It never harms its host
//!
//! After [`init`] nothing blocks, panics or grows without bound, and nothing is lost silently (a thread that
//! panics waits up to 100 ms for its last line to be written, the one wait there is): lines and
//! spans wait in bounded queues, threads of their own carry them away, and [`Telemetry::ledger`] accounts for
//! each of them. [`serve`], [`Telemetry::shutdown`] and its drop deliver what waits within one deadline; a program
//! without `serve` asks for [`Telemetry::shutdown_on_signal`], or handles signals itself and lets `main` return.
//!
//! # Pages
//!
//! | page | what it says |
//! | --- | --- |
//! | [formats](docs::formats) | how a line is written, and what always holds of it |
//! | [settings](docs::settings) | every variable, its meaning and its default |
//! | [metrics](docs::metrics) | what is served at `/metrics` and pushed, family by family |
//! | [shutdown](docs::shutdown) | how nothing is lost at the end, and what may be |
//! | [kubernetes](docs::kubernetes) | `NODE_IP`, and what else a pod's manifest says |
//! | [sampling](docs::sampling) | which traces are recorded, and what the others cost |
//! | [security](docs::security) | forged lines, foreign callers, what leaves the process |
//! | [testing](docs::testing) | how a service's own tests see its lines and spans |
//!
//! # Features
//!
//! - `tls`, on by default: endpoints that begin with `https://`.
//! - `reqwest`: `http::SendTraced` for requests of `reqwest`.
//! - `testing`: the module [`testing`](docs::testing), with which a service's own tests see its lines and spans.

mod init;
mod serve;
mod spawn;

pub mod log;
mod trace;

pub mod http;
pub mod metrics;

#[cfg(feature = "testing")]
pub mod testing;

#[cfg(any(doc, doctest))]
pub mod docs;

mod background;
mod config;
mod context;
mod cut;
mod endpoint;
mod error;
mod gzip;
mod otlp;
mod otlp_signal;
mod resource;
mod scrape_token;
mod signals;
mod span;
mod thread_number;
#[cfg(feature = "tls")]
mod tls;
mod vars;

pub use endpoint::OtlpProtocol;
pub use error::{Fault, InitError};
pub use http::grpc;
pub use init::{Builder, Ledger, Propagator, Telemetry, builder, init};
pub use log::{LineDrops, LineLedger, LogFormat, LogOutput, ParseLogFormatError};
pub use metrics::{RegisterError, Registry};
pub use opentelemetry_sdk::trace::Sampler;
pub use serve::serve;
pub use spawn::spawn;
pub use trace::{SpanDrops, SpanLedger};

//! HTTP: one span for each request that a service answers, and for each that it sends.
//!
//! [`server`] is a tower layer for axum's router, or for any service of [`http::Request`]s:
//!
//! ```
//! let app: axum::Router = axum::Router::new()
//!     .route("/", axum::routing::get(|| async { "Hello World!" }))
//!     .layer(spanline::http::server().exclude("/healthz"));
//! ```
//!
//! [`client`] is the same for the other direction. With the feature `reqwest`, `SendTraced` gives
//! `send_traced()` to reqwest's request builder.
//!
//! Names and attributes are those of OpenTelemetry's stable semantic conventions for HTTP. Both
//! sides speak W3C Trace Context; a `traceparent` that breaks its rules is as good as none.

mod body;
mod caller;
mod client;
mod counted;
mod current;
mod exchange;
mod foreign;
pub mod grpc;
mod head;
mod headers;
mod method;
mod outcome;
mod polls;
mod route;
mod semconv;
#[cfg(feature = "reqwest")]
mod send_traced;
mod server;
mod start;
mod traceparent;
mod traceresponse;

pub use caller::Callers;
pub use client::{ClientFuture, ClientLayer, ClientService, ResendCount, client};
pub(crate) use current::Current;
#[cfg(feature = "testing")]
pub(crate) use current::current;
#[cfg(feature = "reqwest")]
pub use send_traced::SendTraced;
pub use server::{ServerFuture, ServerLayer, ServerService, server};

//! Requests become spans: a layer for servers, and the same for clients.
//!
//! Names and attributes follow OpenTelemetry's stable HTTP conventions.

mod client;
mod semconv;
mod server;
mod traceparent;

#[cfg(feature = "reqwest")]
pub use client::SendTraced;
pub use client::{Client, ClientLayer, client};
pub use server::{Server, ServerBody, ServerLayer, server};

//! TLS: connections that are secured as the configuration says, and in plain words what stands in their way.
//!
//! rustls with ring, passed explicitly: what another crate makes the process's provider is no concern of ours.
//! Certificates and keys are read anew when their files change (see [`crate::reload`]).

mod client;
mod connect;
mod explain;
mod material;
mod server;

pub use self::connect::{Connector, Distrust, Stream};
pub use self::server::ServerSide;

#[cfg(test)]
mod tests;

//! Who is who: what a client shows of itself with every request, and whom a listener lets in.
//!
//! Files with tokens and passwords are read anew when they change. No secret appears in a message, a log line or
//! the `Debug` of anything here.

mod client;
mod htpasswd;
mod secrets;
mod server;

pub use self::client::Credentials;
pub use self::server::{Guard, Refuse};

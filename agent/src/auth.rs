//! Who is who: what a client shows of itself with every request.
//!
//! Files with tokens and passwords are read anew when they change. No secret appears in a message, a log line or
//! the `Debug` of anything here.

mod client;
mod secrets;

pub use self::client::Credentials;

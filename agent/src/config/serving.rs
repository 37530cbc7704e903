//! What everything that listens has: where, how connections are secured, and who is let in.

use super::auth::{self, Authenticator};
use super::section::{Section, Setting};
use super::tls::{self, ServerTls};

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Where.
    pub endpoint: Setting,
    /// How connections are secured, if they are.
    pub tls: Option<ServerTls>,
    /// Who is let in; without it, everybody.
    pub auth: Option<Authenticator>,
}

pub(super) fn serving(section: &mut Section<'_>, default: &str) -> Serving {
    Serving {
        endpoint: section.listen("endpoint", default),
        tls: tls::server(section),
        auth: auth::of_server(section),
    }
}

//! The extensions' settings.

use std::path::PathBuf;

use super::auth::{self, Auth, Authenticator};
use super::component::Kind;
use super::section::{Section, Setting};
use super::serving::{Serving, serving};

/// An extension and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Extension {
    /// Who is let in, or what is shown to be let in.
    Auth(Auth),
    /// Where receivers keep what must survive a restart.
    FileStorage {
        /// The folder; made when it is missing.
        directory: PathBuf,
    },
    /// Answers probes: `/`, `/livez`, `/readyz`.
    HealthCheck {
        /// Where.
        endpoint: Setting,
    },
    /// The page and the read API.
    Web(Serving),
}

impl Extension {
    /// Whom it lets in.
    pub(super) fn auth(&self) -> Option<&Authenticator> {
        match self {
            Self::Web(serving) => serving.auth.as_ref(),
            Self::Auth(_) | Self::FileStorage { .. } | Self::HealthCheck { .. } => None,
        }
    }
}

pub(super) const KINDS: &[Kind<Extension>] = &[
    Kind {
        name: "basicauth",
        aliases: &[],
        signals: &[],
        read: auth::basic,
        sample: "client_auth: {username: a, password: b}",
    },
    Kind {
        name: "bearertokenauth",
        aliases: &[],
        signals: &[],
        read: auth::bearer,
        sample: "token: a",
    },
    Kind { name: "file_storage", aliases: &[], signals: &[], read: file_storage, sample: "{}" },
    Kind { name: "health_check", aliases: &[], signals: &[], read: health_check, sample: "{}" },
    Kind { name: "spanline_web", aliases: &[], signals: &[], read: web, sample: "{}" },
];

fn file_storage(section: &mut Section<'_>) -> Option<Extension> {
    let directory = section.text("directory");
    let directory = directory.unwrap_or_else(|| "/var/lib/otelcol/file_storage".to_owned()).into();
    Some(Extension::FileStorage { directory })
}

fn health_check(section: &mut Section<'_>) -> Option<Extension> {
    Some(Extension::HealthCheck { endpoint: section.listen("endpoint", "localhost:13133") })
}

fn web(section: &mut Section<'_>) -> Option<Extension> {
    Some(Extension::Web(serving(section, "localhost:9880")))
}

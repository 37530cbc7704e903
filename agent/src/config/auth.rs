//! Who is let in, and what we show to be let in: `bearertokenauth`, `basicauth`, and the key `auth` that names one.

use std::fmt;

use http::HeaderName;

use super::component::Components;
use super::extensions::Extension;
use super::fault::Findings;
use super::section::{Section, Setting};
use super::yaml::Value;

/// A text that nobody may read.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// Secrets, one or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// In the configuration; the keys that lead there, and what stands there.
    Here(String, Vec<Secret>),
    /// In the file of this path, one in each line.
    File(Setting),
}

/// An extension that a component names by `auth::authenticator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// One of a few tokens, in a header of every request.
    Bearer {
        /// The header.
        header: HeaderName,
        /// What stands before the token.
        scheme: String,
        /// The tokens; a client shows the first.
        tokens: Secrets,
    },
    /// A name and a password, to be shown.
    BasicClient {
        /// The name.
        username: Secrets,
        /// The password.
        password: Secrets,
    },
    /// The names and passwords of those who are let in, as `htpasswd` writes them.
    BasicServer {
        /// Those that stand in the configuration.
        inline: Option<Secrets>,
        /// The file of others.
        file: Option<Secrets>,
    },
}

/// What a component names by `auth::authenticator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticator {
    /// The extension's id, and where it is named.
    pub id: Setting,
    /// Whether the component shows itself by it; else it asks others to.
    pub is_client: bool,
}

/// The key `auth` of a component that sends.
pub(super) fn of_client(component: &mut Section<'_>) -> Option<Authenticator> {
    named(component, true)
}

/// The key `auth` of a component that listens.
pub(super) fn of_server(component: &mut Section<'_>) -> Option<Authenticator> {
    named(component, false)
}

fn named(component: &mut Section<'_>, is_client: bool) -> Option<Authenticator> {
    let is_there = component.has("auth");
    let mut section = component.section("auth");
    let id = if is_there {
        section.required("authenticator", "the id of an extension such as bearertokenauth")
    } else {
        section.setting("authenticator")
    };
    id.map(|id| Authenticator { id, is_client })
}

/// An authenticator is an extension that is started, and that can do what is asked of it.
pub(super) fn check(
    named: &Authenticator,
    extensions: &Components<Extension>,
    started: &[usize],
    findings: &Findings,
) {
    let Authenticator { id, is_client } = named;
    if extensions.is_faulty(&id.text) {
        return;
    }
    let found = extensions.ready.iter().position(|extension| extension.id == id.text);
    let what = match found.map(|at| (started.contains(&at), &extensions.ready[at].settings)) {
        None => "is no extension that is configured",
        Some((_, Extension::Auth(auth))) if *is_client && !auth.is_client() => {
            "has no client_auth, so it has nothing to show to a server"
        }
        Some((_, Extension::Auth(auth))) if !*is_client && !auth.is_server() => {
            "has no htpasswd, so it knows nobody who could be let in"
        }
        Some((false, Extension::Auth(_))) => "is not in service::extensions, so it is not started",
        Some((true, Extension::Auth(_))) => return,
        Some(_) => "is no extension that authenticates: bearertokenauth and basicauth are",
    };
    findings.fault(&id.from, None, format!("{:?} {what}", id.text));
}

impl Auth {
    fn is_client(&self) -> bool {
        matches!(self, Self::Bearer { .. } | Self::BasicClient { .. })
    }

    fn is_server(&self) -> bool {
        matches!(self, Self::Bearer { .. } | Self::BasicServer { .. })
    }
}

pub(super) fn bearer(section: &mut Section<'_>) -> Option<Extension> {
    let expected = "the name of a header";
    let header = section
        .parsed("header", expected, |text, _| text.parse::<HeaderName>().ok())
        .unwrap_or(http::header::AUTHORIZATION);
    let scheme = section.text("scheme").unwrap_or_else(|| "Bearer".to_owned());
    let one = section.text("token");
    let has_several = section.has("tokens");
    let several = section.texts("tokens");
    let file = section.setting("filename");
    let given = [one.is_some(), has_several, file.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        section.fault("exactly one of token, tokens and filename must be there");
        return None;
    }
    let tokens = match file {
        Some(file) => Secrets::File(file),
        None => {
            let (key, texts) = match one {
                Some(one) => ("token", vec![one]),
                None => ("tokens", several),
            };
            secrets(section, key, texts, |token| {
                http::HeaderValue::try_from(format!("{scheme} {token}")).is_ok()
            })?
        }
    };
    Some(Extension::Auth(Auth::Bearer { header, scheme, tokens }))
}

pub(super) fn basic(section: &mut Section<'_>) -> Option<Extension> {
    let (is_client, is_server) = (section.has("client_auth"), section.has("htpasswd"));
    let mut server = section.section("htpasswd");
    let (inline, file) = (server.text("inline"), server.setting("file"));
    if is_client == is_server {
        section.fault(
            "exactly one of client_auth (what is shown) and htpasswd (who is let in) must be there",
        );
        server.ask_for_all();
        section.ask_for_all();
        return None;
    }
    if is_server {
        if inline.is_none() && file.is_none() {
            server.fault("one of inline and file must be there");
            return None;
        }
        let inline = match inline {
            Some(inline) => Some(secrets(&mut server, "inline", vec![inline], |_| true)?),
            None => None,
        };
        return Some(Extension::Auth(Auth::BasicServer { inline, file: file.map(Secrets::File) }));
    }
    let mut client = section.section("client_auth");
    let username = one(&mut client, "username", "username_file", |name| !name.contains(':'));
    let password = one(&mut client, "password", "password_file", |_| true);
    Some(Extension::Auth(Auth::BasicClient { username: username?, password: password? }))
}

/// A secret that stands here or in a file.
fn one(
    section: &mut Section<'_>,
    key: &'static str,
    file_key: &'static str,
    is_valid: impl Fn(&str) -> bool,
) -> Option<Secrets> {
    match (section.text(key), section.setting(file_key)) {
        (Some(text), None) => secrets(section, key, vec![text], is_valid),
        (None, Some(file)) => Some(Secrets::File(file)),
        _ => {
            section.fault(format!("exactly one of {key} and {file_key} must be there"));
            None
        }
    }
}

/// What stands at `key`; an empty text is mostly a variable that is not set.
fn secrets(
    section: &mut Section<'_>,
    key: &'static str,
    texts: Vec<String>,
    is_valid: impl Fn(&str) -> bool,
) -> Option<Secrets> {
    let path = section.key_path(key);
    let variables = match section.raw(key) {
        Some(node) if matches!(node.value, Value::Scalar { .. }) => node.variables.join(", "),
        _ => String::new(),
    };
    let from = if variables.is_empty() { path } else { format!("{path}, set by {variables}") };
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        section.findings().fault(&from, section.place(), "empty: who shows nothing is nobody");
        return None;
    }
    if !texts.iter().all(|text| is_valid(text)) {
        section.findings().fault(&from, section.place(), "has a character that cannot be sent");
        return None;
    }
    Some(Secrets::Here(from, texts.into_iter().map(Secret).collect()))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

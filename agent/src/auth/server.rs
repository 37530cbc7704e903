//! Who is let in, and what the others are told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::{hmac, rand::SystemRandom};

use super::htpasswd::Users;
use super::secrets::{called, files, load, text};
use crate::config::{Auth, Secrets};
use crate::reload::{Reloaded, Unusable};
use crate::self_metrics::{ListenerReason, SelfMetrics};

/// How often, at most, files are looked at for changes.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Lets those in whom an extension knows.
pub struct Guard {
    check: Check,
    /// What a client is asked for, in HTTP's words.
    challenge: HeaderValue,
    /// The keys that lead to the listener.
    listener: String,
    metrics: Arc<SelfMetrics>,
}

enum Check {
    Bearer {
        header: HeaderName,
        scheme: String,
        key: Box<hmac::Key>,
        tokens: Reloaded<Vec<hmac::Tag>>,
    },
    Basic(Reloaded<Users>),
}

/// How a listener tells in its own protocol that somebody is not let in.
pub type Refuse = fn(&HeaderMap, &str) -> Response;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    Missing,
    Wrong,
}

impl Guard {
    /// Lets those in whom `auth` knows, on the listener to which these keys lead.
    ///
    /// # Errors
    /// A file that cannot be used, or a system without random numbers.
    pub fn new(auth: &Auth, listener: &str, metrics: Arc<SelfMetrics>) -> Result<Self, Unusable> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Unusable::new("this system's random numbers", "there are none"))?;
        let (check, challenge) = match auth.clone() {
            Auth::Bearer { header, scheme, tokens } => {
                let (files, signer) = (files([&tokens]), key.clone());
                let tags = move || {
                    let tokens = load(&tokens)?;
                    let tag = |token: &String| hmac::sign(&signer, token.trim().as_bytes());
                    Ok(tokens.iter().map(tag).collect())
                };
                let tokens = Reloaded::new(files, RELOAD_INTERVAL, tags)?;
                let check = Check::Bearer { header, scheme, key: Box::new(key), tokens };
                (check, HeaderValue::from_static("Bearer realm=\"spanline-agent\""))
            }
            Auth::BasicServer { inline, file } => {
                let files = files(inline.iter().chain(&file));
                let users = move || users(inline.as_ref(), file.as_ref(), key.clone());
                let users = Reloaded::new(files, RELOAD_INTERVAL, users)?;
                let challenge = "Basic realm=\"spanline-agent\", charset=\"UTF-8\"";
                (Check::Basic(users), HeaderValue::from_static(challenge))
            }
            Auth::BasicClient { .. } => {
                return Err(Unusable::new(listener, "its authenticator knows nobody"));
            }
        };
        Ok(Self { check, challenge, listener: listener.to_owned(), metrics })
    }

    /// Stands before everything that `router` serves. Who is not let in is counted, and told so by `refuse`.
    pub fn before(self, router: Router, refuse: Refuse) -> Router {
        let guard = Arc::new(self);
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let guard = Arc::clone(&guard);
            async move {
                match guard.admit(request.headers()).await {
                    Ok(()) => next.run(request).await,
                    Err(denied) => guard.refuse(denied, request.headers(), refuse),
                }
            }
        }))
    }

    fn refuse(&self, denied: Denied, headers: &HeaderMap, refuse: Refuse) -> Response {
        let (listener, reason) = (self.listener.clone(), denied.reason());
        let label = ListenerReason { listener, reason };
        self.metrics.serve.requests_denied.get_or_create(&label).inc();
        let mut response = refuse(headers, &self.told(denied));
        response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge.clone());
        response
    }

    async fn admit(&self, headers: &HeaderMap) -> Result<(), Denied> {
        match &self.check {
            Check::Bearer { header, scheme, key, tokens } => {
                let token = shown(headers, header, scheme)?;
                let is_one = |tag: &hmac::Tag| hmac::verify(key, token, tag.as_ref()).is_ok();
                // All of them are tried, so that the time says nothing of which one it is.
                let known = tokens.get().iter().filter(|tag| is_one(tag)).count();
                if known > 0 { Ok(()) } else { Err(Denied::Wrong) }
            }
            Check::Basic(users) => {
                let encoded = shown(headers, &AUTHORIZATION, "Basic")?;
                let pair = STANDARD.decode(encoded).map_err(|_| Denied::Wrong)?;
                let pair = String::from_utf8(pair).map_err(|_| Denied::Wrong)?;
                let (name, password) = pair.split_once(':').ok_or(Denied::Wrong)?;
                let users = users.get();
                if users.knows(name, password).await { Ok(()) } else { Err(Denied::Wrong) }
            }
        }
    }

    fn told(&self, denied: Denied) -> String {
        let what = match &self.check {
            Check::Bearer { header, scheme, .. } => {
                format!("a token, in the header {header} behind {scheme:?}")
            }
            Check::Basic(_) => "a name and a password (HTTP basic)".to_owned(),
        };
        match denied {
            Denied::Missing => format!("this listener wants {what}, and the request shows none"),
            Denied::Wrong => {
                format!("this listener wants {what}, and does not know what the request shows")
            }
        }
    }
}

/// What stands behind the scheme in a header.
fn shown<'a>(headers: &'a HeaderMap, name: &HeaderName, scheme: &str) -> Result<&'a [u8], Denied> {
    let value = headers.get(name).ok_or(Denied::Missing)?.as_bytes();
    if scheme.is_empty() {
        return Ok(value);
    }
    match value.split_at_checked(scheme.len()) {
        Some((given, [b' ', rest @ ..])) if given.eq_ignore_ascii_case(scheme.as_bytes()) => {
            Ok(rest.trim_ascii_start())
        }
        _ => Err(Denied::Wrong),
    }
}

fn users(
    inline: Option<&Secrets>,
    file: Option<&Secrets>,
    key: hmac::Key,
) -> Result<Users, Unusable> {
    let mut users = Users::new(key);
    // Those in the configuration come first, as in the Collector.
    for secrets in inline.into_iter().chain(file) {
        users.add(&text(secrets)?).map_err(|why| Unusable::new(called(secrets), why))?;
    }
    Ok(users)
}

impl Denied {
    fn reason(self) -> &'static str {
        match self {
            Self::Missing => "no_credentials",
            Self::Wrong => "wrong_credentials",
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("listener", &self.listener).finish_non_exhaustive()
    }
}

//! What we show to be let in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::secrets::{called, files, load};
use crate::config::{Auth, Secrets};
use crate::reload::{Reloaded, Unusable};

/// How often, at most, files are looked at for changes.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// A header that goes with every request.
#[derive(Debug)]
pub struct Credentials {
    name: HeaderName,
    value: Reloaded<HeaderValue>,
}

impl Credentials {
    /// What `auth` shows.
    ///
    /// # Errors
    /// A file that cannot be read or that holds nothing that can be sent.
    pub fn new(auth: &Auth) -> Result<Self, Unusable> {
        match auth.clone() {
            Auth::Bearer { header, scheme, tokens } => {
                let files = files([&tokens]);
                let value = move || bearer(&scheme, &tokens);
                Ok(Self { name: header, value: Reloaded::new(files, RELOAD_INTERVAL, value)? })
            }
            Auth::BasicClient { username, password } => {
                let files = files([&username, &password]);
                let value = move || basic(&username, &password);
                Ok(Self {
                    name: AUTHORIZATION,
                    value: Reloaded::new(files, RELOAD_INTERVAL, value)?,
                })
            }
            Auth::BasicServer { .. } => {
                Err(Unusable::new("an authenticator with htpasswd", "it has nothing to show"))
            }
        }
    }

    /// Adds the header to a request's.
    pub fn show(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), HeaderValue::clone(&self.value.get()));
    }
}

fn bearer(scheme: &str, tokens: &Secrets) -> Result<HeaderValue, Unusable> {
    let loaded = load(tokens)?;
    let token = loaded.first().map_or("", |token| token.trim());
    sensitive(format!("{scheme} {token}").trim_start(), tokens)
}

fn basic(username: &Secrets, password: &Secrets) -> Result<HeaderValue, Unusable> {
    let (names, passwords) = (load(username)?, load(password)?);
    let name = names.first().map_or("", |name| name.trim());
    if name.contains(':') {
        return Err(Unusable::new(called(username), "a name has no colon"));
    }
    let password_text = passwords.first().map_or("", String::as_str);
    sensitive(&format!("Basic {}", STANDARD.encode(format!("{name}:{password_text}"))), password)
}

fn sensitive(text: &str, from: &Secrets) -> Result<HeaderValue, Unusable> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Unusable::new(called(from), "it has a character that cannot be sent"))?;
    // So that neither hyper nor h2 shows or compresses it.
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Setting};

    fn here(text: &str) -> Secrets {
        Secrets::Here("extensions::x::token".to_owned(), vec![Secret(text.to_owned())])
    }

    fn shown(credentials: &Credentials, header: &str) -> String {
        let mut headers = HeaderMap::new();
        credentials.show(&mut headers);
        assert!(headers[header].is_sensitive());
        headers[header].to_str().unwrap().to_owned()
    }

    fn bearer(scheme: &str, tokens: Secrets) -> Auth {
        let header = HeaderName::from_static("x-api-key");
        Auth::Bearer { header, scheme: scheme.to_owned(), tokens }
    }

    #[test]
    fn a_token_stands_behind_its_scheme_and_a_password_is_encoded_with_its_name() {
        let token = Credentials::new(&bearer("Bearer", here("abc"))).unwrap();
        assert_eq!(shown(&token, "x-api-key"), "Bearer abc");
        let bare = Credentials::new(&bearer("", here("abc"))).unwrap();
        assert_eq!(shown(&bare, "x-api-key"), "abc");
        let basic = Auth::BasicClient { username: here("Aladdin"), password: here("open sesame") };
        let basic = Credentials::new(&basic).unwrap();
        assert_eq!(shown(&basic, "authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{token:?} {:?}", here("abc")).contains("abc"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_of_a_file_is_the_one_that_stands_there_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let (text, from) = (path.display().to_string(), "extensions::x::filename".to_owned());
        let auth = bearer("Bearer", Secrets::File(Setting { text, from }));
        let token = Credentials::new(&auth).unwrap();
        assert_eq!(shown(&token, "x-api-key"), "Bearer first");
        std::fs::write(&path, "the second\n").unwrap();
        tokio::time::advance(RELOAD_INTERVAL).await;
        assert_eq!(shown(&token, "x-api-key"), "Bearer the second");
        std::fs::write(&path, "\n").unwrap();
        let told = Credentials::new(&auth).unwrap_err().to_string();
        assert!(told.contains("of extensions::x::filename cannot be used: it is empty"), "{told}");
        std::fs::remove_file(&path).unwrap();
        assert!(Credentials::new(&auth).unwrap_err().to_string().contains("No such file"));
    }
}

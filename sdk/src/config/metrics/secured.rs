//! How `/metrics` on its own port is secured.

use crate::error::Fault;
use crate::scrape_token::Token;
use crate::vars::Reader;

const CERTIFICATE: &str = "SPANLINE_METRICS_CERTIFICATE";
const KEY: &str = "SPANLINE_METRICS_KEY";
const CLIENT_CA: &str = "SPANLINE_METRICS_CLIENT_CA";
const TOKEN_FILE: &str = "SPANLINE_METRICS_TOKEN_FILE";
/// What is secured only in part is open.
const INSTEAD: &str = "metrics are not served";

/// What a scraper is shown, and must show.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScrapeSecurity {
    /// What it must show with each request.
    pub(crate) token: Option<Token>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::server::ServerSide>,
}

/// Reads the variables; `None` when they ask for what cannot be had.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<ScrapeSecurity> {
    let mut is_sound = true;
    let mut file = |name: &'static str| {
        let path = reader.text(name)?;
        if path.contains("-----BEGIN") || path.contains(char::is_control) {
            // It may be a key: it is not repeated.
            let accepted = "the path of a file, not what is in it";
            reader.fault(Fault::new(name, "***", accepted).instead(INSTEAD));
            is_sound = false;
        }
        Some(path)
    };
    let (certificate, key) = (file(CERTIFICATE), file(KEY));
    let (client_ca, token) = (file(CLIENT_CA), file(TOKEN_FILE));
    if !is_sound {
        return None;
    }
    let token = token.map(|path| Token::new(path.into()));
    if let Some((token, why)) = token.as_ref().and_then(|token| Some((token, token.check()?))) {
        let accepted = format!("a file with a token in it that can be read ({why})");
        let path = token.path().display().to_string();
        reader.fault(Fault::new(TOKEN_FILE, path, accepted).instead(INSTEAD));
        is_sound = false;
    }
    let mut secured = ScrapeSecurity {
        token,
        #[cfg(feature = "tls")]
        tls: None,
    };
    match (certificate, key, client_ca) {
        (Some(certificate), Some(key), client_ca) => {
            is_sound &= tls(&mut secured, certificate, key, client_ca, reader);
        }
        (Some(alone), None, _) => is_sound = alone_is_nothing(CERTIFICATE, alone, KEY, reader),
        (None, Some(alone), _) => is_sound = alone_is_nothing(KEY, alone, CERTIFICATE, reader),
        (None, None, Some(alone)) => {
            is_sound = alone_is_nothing(CLIENT_CA, alone, CERTIFICATE, reader);
        }
        (None, None, None) => {}
    }
    is_sound.then_some(secured)
}

fn alone_is_nothing(
    name: &'static str,
    path: String,
    other: &str,
    reader: &mut Reader<'_>,
) -> bool {
    reader.fault(Fault::new(name, path, format!("a path with {other} beside it")).instead(INSTEAD));
    false
}

#[cfg(feature = "tls")]
fn tls(
    secured: &mut ScrapeSecurity,
    certificate: String,
    key: String,
    client_ca: Option<String>,
    reader: &mut Reader<'_>,
) -> bool {
    use crate::tls::NamedFile;
    use crate::tls::server::ServerSide;

    let named = |setting, path: String| NamedFile { setting, path: path.into() };
    let client_ca = client_ca.map(|path| named(CLIENT_CA, path));
    let side = ServerSide::new(named(CERTIFICATE, certificate), named(KEY, key), client_ca);
    if let Err(bad) = side.connection() {
        let accepted = format!("a file in PEM that can be read ({})", bad.why);
        let NamedFile { setting, path } = bad.file;
        reader.fault(Fault::new(setting, path.display().to_string(), accepted).instead(INSTEAD));
        return false;
    }
    secured.tls = Some(side);
    true
}

#[cfg(not(feature = "tls"))]
fn tls(
    _: &mut ScrapeSecurity,
    certificate: String,
    _: String,
    _: Option<String>,
    reader: &mut Reader<'_>,
) -> bool {
    let accepted = "nothing: this service is built without the feature tls";
    reader.fault(Fault::new(CERTIFICATE, certificate, accepted).instead(INSTEAD));
    false
}

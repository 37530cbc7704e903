//! The token that a scraper must show.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// No token is longer.
const MAX_BYTES: u64 = 64 * 1024;

/// A token in a file, which is read with each request: a new one needs no restart.
#[derive(Clone)]
pub(crate) struct Token {
    path: PathBuf,
    /// What stood there when it could last be read.
    last: Arc<Mutex<Option<String>>>,
}

impl Token {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Why there is none, if there is none.
    pub(crate) fn check(&self) -> Option<String> {
        self.current().err()
    }

    /// Whether a request shows it.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let shown = match shown.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => token.trim_ascii(),
            _ => return false,
        };
        self.current().is_ok_and(|token| is_same(token.as_bytes(), shown))
    }

    fn current(&self) -> Result<String, String> {
        let read = self.read();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(token) = &read {
            *last = Some(token.clone());
        }
        last.clone().map_or(read, Ok)
    }

    fn read(&self) -> Result<String, String> {
        let told = |error: std::io::Error| error.to_string();
        // Asked before it is opened: to open a named pipe is to wait for its writer.
        if !std::fs::metadata(&self.path).map_err(told)?.is_file() {
            return Err("it is no regular file".to_owned());
        }
        let mut text = String::new();
        let file = std::fs::File::open(&self.path).map_err(told)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(told)?;
        let token = text.trim();
        if token.is_empty() { Err("it is empty".to_owned()) } else { Ok(token.to_owned()) }
    }
}

/// Takes the same time wherever they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

// The token is a secret.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("path", &self.path).finish_non_exhaustive()
    }
}

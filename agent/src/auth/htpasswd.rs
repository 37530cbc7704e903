//! The names and passwords of those who are let in, as the program `htpasswd` writes them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::hmac;
use tokio::sync::Semaphore;

/// The highest cost of bcrypt that is taken: a second of work for each login.
const MAX_COST: u32 = 14;
/// Passwords that are checked by bcrypt at one time; others wait for their turn.
const MAX_CHECKS: usize = 2;

/// Who is known, and by what.
pub(super) struct Users {
    key: hmac::Key,
    entries: HashMap<String, Entry>,
    /// By bcrypt, once: who comes back with the same password is not asked to wait for it again.
    verified: Mutex<HashMap<String, hmac::Tag>>,
    turn: Arc<Semaphore>,
}

enum Entry {
    /// The password itself, as a tag under our key, so that a comparison takes the same time whatever is compared.
    Plain(hmac::Tag),
    /// The same of its SHA-1.
    Sha1(hmac::Tag),
    /// Its hash by bcrypt.
    Bcrypt(String),
}

impl Users {
    /// Nobody yet. `key` is for the comparisons.
    pub(super) fn new(key: hmac::Key) -> Self {
        let turn = Arc::new(Semaphore::new(MAX_CHECKS));
        Self { key, entries: HashMap::new(), verified: Mutex::default(), turn }
    }

    /// Adds those of the lines `name:password` who are not known yet. The error says what is wrong with a line, by
    /// its number, and no more of it.
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let mut is_empty = true;
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = match line.split_once(':') {
                Some(("", _)) => Err("it has no name"),
                Some((_, "")) => Err("it has no password"),
                Some((name, password)) => {
                    Entry::read(password, &self.key).map(|entry| (name.to_owned(), entry))
                }
                None => Err("it is not name:password"),
            };
            let (name, entry) = entry.map_err(|why| format!("line {}: {why}", n + 1))?;
            self.entries.entry(name).or_insert(entry);
            is_empty = false;
        }
        if is_empty { Err("there is no line name:password in it".to_owned()) } else { Ok(()) }
    }

    /// Whether the password is this user's.
    pub(super) async fn knows(&self, name: &str, password: &str) -> bool {
        match self.entries.get(name) {
            None => false,
            Some(Entry::Plain(tag)) => self.is(tag, password.as_bytes()),
            Some(Entry::Sha1(tag)) => {
                self.is(tag, digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()).as_ref())
            }
            Some(Entry::Bcrypt(hash)) => self.bcrypt(name, password, hash).await,
        }
    }

    async fn bcrypt(&self, name: &str, password: &str, hash: &str) -> bool {
        let is_known = {
            let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified.get(name).is_some_and(|tag| self.is(tag, password.as_bytes()))
        };
        if is_known {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return false };
        let (given, hash) = (password.to_owned(), hash.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            bcrypt::verify(given, &hash).unwrap_or(false)
        });
        let is_right = checked.await.unwrap_or(false);
        if is_right {
            let tag = hmac::sign(&self.key, password.as_bytes());
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            verified.insert(name.to_owned(), tag);
        }
        is_right
    }

    fn is(&self, tag: &hmac::Tag, bytes: &[u8]) -> bool {
        hmac::verify(&self.key, bytes, tag.as_ref()).is_ok()
    }
}

impl Entry {
    fn read(password: &str, key: &hmac::Key) -> Result<Self, &'static str> {
        if let Some(encoded) = password.strip_prefix("{SHA}") {
            let sha1 = STANDARD.decode(encoded).ok().filter(|sha1| sha1.len() == 20);
            let sha1 = sha1.ok_or("its {SHA} is not the base64 of 20 bytes")?;
            return Ok(Self::Sha1(hmac::sign(key, &sha1)));
        }
        if ["$2y$", "$2b$", "$2a$"].iter().any(|prefix| password.starts_with(prefix)) {
            let parts: bcrypt::HashParts =
                password.parse().map_err(|_| "its hash is none of bcrypt's")?;
            if parts.get_cost() > MAX_COST {
                return Err("its bcrypt costs more than 14, which is a second for each login");
            }
            return Ok(Self::Bcrypt(password.to_owned()));
        }
        if password.starts_with(['$', '{']) {
            return Err(
                "its hash is not supported; bcrypt (htpasswd -B), {SHA} (-s) and plain text are",
            );
        }
        Ok(Self::Plain(hmac::sign(key, password.as_bytes())))
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, String> {
        let mut users = Users::new(hmac::Key::new(hmac::HMAC_SHA256, b"a key"));
        users.add(text).map(|()| users)
    }

    /// By `htpasswd -nbs`, `-nbB` and `-nbp`.
    const ENTRIES: &str = "\
# people
sha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
bcrypt:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC

plain:open:sesame
plain:second
";

    #[tokio::test]
    async fn each_kind_of_hash_lets_its_password_in_and_no_other() {
        let users = users(ENTRIES).unwrap();
        for (name, password) in
            [("sha", "password"), ("bcrypt", "myPassword"), ("plain", "open:sesame")]
        {
            assert!(users.knows(name, password).await, "{name}");
            assert!(users.knows(name, password).await, "{name}, the second time");
            for wrong in ["", "Password", "second", "open"] {
                assert!(!users.knows(name, wrong).await, "{name}: {wrong}");
            }
        }
        assert!(!users.knows("nobody", "password").await);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_by_its_number_and_not_repeated() {
        for (line, why) in [
            ("me:$apr1$abc$def", "line 2: its hash is not supported"),
            ("me:{SSHA}abc", "line 2: its hash is not supported"),
            ("me:{SHA}abc", "line 2: its {SHA}"),
            (
                "me:$2y$31$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
                "costs more than 14",
            ),
            ("me:$2y$05$abc", "line 2: its hash is none of bcrypt's"),
            ("abc", "line 2: it is not name:password"),
            (":abc", "line 2: it has no name"),
            ("me:", "line 2: it has no password"),
        ] {
            let told = users(&format!("a:b\n{line}\n")).unwrap_err();
            assert!(
                told.contains(why) && !told.contains("abc") && !told.contains("c4Wo"),
                "{told}"
            );
        }
        assert!(users("# nobody\n").unwrap_err().contains("no line name:password"));
    }
}
